/// Seeds that once broke a promise, each with what it showed. They run first, always.
public struct KnownSeed: Sendable {
  public var seed: UInt64
  /// Enough steps to come to the place.
  public var steps: Int
  public var lesson: String

  public static let all: [KnownSeed] = [
    KnownSeed(
      seed: 11, steps: 2_000,
      lesson:
        "A refused write was tried again under its old revision, so a repeated answer to the first try would have "
        + "been taken for an answer to the second. Each try has a revision of its own."),
    KnownSeed(
      seed: 319, steps: 2_000,
      lesson: "A redrive asked for while a read was under way waited for ever when the read found nothing: the lane "
        + "became idle and nothing else would wake it."),
    KnownSeed(
      seed: 122, steps: 20_000,
      lesson: "The same after a skip past the last record: its read found nothing, and redrives were left waiting."),
    KnownSeed(
      seed: 15, steps: 6_000,
      lesson: "Retention removes the whole of a failing batch: the lane forgets the failure, and counts the loss when "
        + "the next record shows how much was lost. (The checker was wrong.)"),
    KnownSeed(
      seed: 7, steps: 25_000,
      lesson: "Retention removes all that an open shard had: the checkpoint stays behind until a record comes. (The "
        + "checker was wrong.)"),
  ]
}
