public import StreamModel

/// Records that left their lane without success: everything but the records themselves.
public struct FailureSummary: Hashable, Sendable {
  /// The entry's number in the store, from 1. Zero before it is stored.
  public var number: UInt64 = 0
  public var mapping: MappingNumber
  public var mappingName: String
  public var streamName: String
  public var address: ShardAddress
  public var shardCreatedAtSeconds: UInt64
  public var firstIndex: RecordIndex
  public var lastIndex: RecordIndex
  /// The number of records: those of the mapping between the first and the last. Zero for the final delivery of a
  /// tumbling window; then the first index is where it stood, and the last the one before.
  public var count: Int
  public var firstArrival: WallTime
  public var lastArrival: WallTime
  public var condition: FailureCondition
  /// Deliveries that used up an attempt.
  public var attempts: Int
  /// The failed deliveries that any of its records was in, oldest first, and those of redrives; not necessarily all.
  public var history: [AttemptRecord]
  /// How many were left out, from among the oldest and the newest.
  public var attemptsOmitted = 0
  /// What happened besides, oldest first.
  public var events: [RecordEvent] = []
  public var createdAt: WallTime
  /// How often the entry was delivered again, and how that last ended.
  public var redrives: Int = 0
  public var lastRedrive: RedriveOutcome?
  /// How far it has come to its mapping's destination; `nil` if it has none but the store.
  public var delivery: FailureDelivery?
  /// Of records of a mapping with tumbling windows.
  public var window: FailedWindow?

  public init(
    mapping: MappingNumber, mappingName: String, streamName: String, address: ShardAddress,
    shardCreatedAtSeconds: UInt64, firstIndex: RecordIndex, lastIndex: RecordIndex, count: Int? = nil,
    firstArrival: WallTime, lastArrival: WallTime, condition: FailureCondition, attempts: Int, history: [AttemptRecord],
    createdAt: WallTime
  ) {
    self.mapping = mapping
    self.mappingName = mappingName
    self.streamName = streamName
    self.address = address
    self.shardCreatedAtSeconds = shardCreatedAtSeconds
    self.firstIndex = firstIndex
    self.lastIndex = lastIndex
    self.count = count ?? Int(firstIndex.distance(to: lastIndex)) + 1
    self.firstArrival = firstArrival
    self.lastArrival = lastArrival
    self.condition = condition
    self.attempts = attempts
    self.history = history
    self.createdAt = createdAt
  }
}

/// How a redrive ended.
public struct RedriveOutcome: Hashable, Sendable {
  public var endedAt: WallTime
  public var succeeded: Bool
  public var message: String

  public init(endedAt: WallTime, succeeded: Bool, message: String) {
    self.endedAt = endedAt
    self.succeeded = succeeded
    self.message = message
  }
}

/// A failure entry with its records.
public struct FailureEntry: Sendable {
  public var summary: FailureSummary
  /// Begins at `summary.firstIndex`.
  public var records: RecordRun
}
