/// Seeds that show a mistake, made once or made on purpose to see that it is noticed. They run first, always.
public struct KnownSeed: Sendable {
  public var seed: UInt64
  /// Enough steps to come to the place.
  public var steps: Int
  public var lesson: String

  public static let all: [KnownSeed] = [
    KnownSeed(
      seed: 1, steps: 2_000,
      lesson:
        "A refused write was tried again under its old revision, so a repeated answer to the first try would have "
        + "been taken for an answer to the second. Each try has a revision of its own."),
    KnownSeed(
      seed: 82, steps: 11_000,
      lesson: "A redrive asked for while a read was under way waited for ever when the read found nothing: the lane "
        + "became idle and nothing else would wake it."),
    KnownSeed(
      seed: 5, steps: 6_000,
      lesson: "A change that comes while a read is under way is the only wake-up for the records it tells of."),
    KnownSeed(
      seed: 243, steps: 1_000,
      lesson:
        "Retention can take the rest of a closed shard: its end is then behind the checkpoint, and the loss counts."),
    KnownSeed(
      seed: 291, steps: 1_000,
      lesson: "A skip that comes while the failing batch is being read again must not let it be delivered first."),
  ]
}
