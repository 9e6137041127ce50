/// Where a reader begins in a shard that it has never worked on.
public enum StartingPosition: Hashable, Sendable {
  /// The oldest record that is still there.
  case trimHorizon
  /// Behind the newest record: what is put from now on.
  case latest
  /// The first record that arrived at this moment or later.
  case atTimestamp(WallTime)
}
