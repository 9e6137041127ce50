/// A deliberate fault between the poller and the world, each of which one checker must notice. For the proof that the
/// checkers can fail.
public enum Sabotage: CaseIterable, Sendable {
  /// A delivery begins one record earlier than ordered.
  case deliversSettledRecord
  /// A delivery begins one record later than ordered.
  case deliversPastUnsettledRecord
  /// A delivery is carried out twice.
  case deliversTwice
  /// A delivery is one more attempt than ordered.
  case miscountsAttempts
  /// A checkpoint is one record further than ordered.
  case movesCheckpointAhead
  /// Failure entries are answered as stored but are not.
  case losesFailureEntries
  /// Where other lanes share a shard, what the foremost of the former ones had not settled is forgotten.
  case forgetsHindmostLane
  /// Where other lanes share a shard, they do again what the former ones ahead had settled.
  case forgetsForemostLane
  /// A child shard's lane is opened without its parents.
  case forgetsParents
  /// The timer is never armed.
  case losesTimers
  /// The poller is not told of new records.
  case losesChanges
  /// The poller has a greater bound on what is not stored than the checker knows.
  case loosensStoreBound
  /// Each order is given a hundred times.
  case floods
  /// What a handler wrote becomes durable ahead of the progress it belongs to.
  case storesWritesApart
  /// A lane is sent to the back of its ring as often as it stands there.
  case sendsToTheBack
  /// The poller is not told that a mapping was closed.
  case ignoresClosing
  /// The poller is not told of a lower limit on attempts.
  case keepsFormerLimits
  /// The poller does not know the retry rules of its mappings.
  case forgetsRetryRules
  /// The poller is not told that a mapping is a shadow.
  case forgetsShadows
  /// Reads do not keep parked keys out of a batch.
  case deliversParkedKeys
  /// Parked records are not stored.
  case losesParkedRecords
  /// More may be parked than the checker knows.
  case loosensParking
  /// A delivery in a tumbling window gets no state.
  case losesWindowState
  /// A delivery in a tumbling window is in the one behind.
  case movesWindows
  /// A tumbling window ends instead of going on.
  case endsWindowsTooEarly
  /// A tumbling window is not stored.
  case forgetsWindows
  /// Reads do not leave out what is done.
  case forgetsSettledKeys
  /// More is remembered as done than is.
  case inventsSettledKeys
  /// What may have been in flight when a process ended is forgotten.
  case forgetsCrashes
  /// Every delivery is said to be another one.
  case inventsRedeliveries

  /// Nobody is told of records that are too large to be delivered.
  case hidesOversizedRecords
  /// A process does not find the last record of a shard.
  case losesPuts
  /// Reads do not say from how many invocations records come.
  case deliversLoops
  /// Lanes do not know that the run ends.
  case forgetsBounds

  /// The promise that is broken.
  public var promise: Promise {
    switch self {
    case .deliversSettledRecord, .forgetsShadows: .order
    case .deliversPastUnsettledRecord, .deliversParkedKeys: .blocking
    case .deliversTwice: .exclusivity
    case .miscountsAttempts, .forgetsRetryRules: .expiry
    case .movesCheckpointAhead: .checkpoint
    case .losesFailureEntries, .forgetsHindmostLane, .losesParkedRecords: .completeness
    case .forgetsForemostLane: .repeats
    case .forgetsParents: .family
    case .losesTimers, .losesChanges: .liveness
    case .loosensStoreBound: .repeats
    case .floods, .loosensParking: .bounds
    case .sendsToTheBack: .fairness
    case .ignoresClosing: .settings
    case .keepsFormerLimits, .hidesOversizedRecords: .expiry
    case .deliversLoops: .recursion
    case .forgetsBounds: .bound
    case .losesPuts: .durability
    case .storesWritesApart: .exactlyOnce
    case .forgetsSettledKeys, .inventsSettledKeys: .idempotency
    case .forgetsCrashes, .inventsRedeliveries: .redeliveries
    case .losesWindowState, .movesWindows, .endsWindowsTooEarly, .forgetsWindows: .windows
    }
  }
}
