public import StreamModel

/// What a store or worker answers.
public enum OperatorAnswer: Codable, Hashable, Sendable {
  case status(StatusReport)
  case lanes([LaneReport])
  case record(RecordReport)
  case action(ActionReport)
  case failures([FailureReport])
  case failure(FailureReport, records: [FailedRecord])
  case streams([StreamReport])
  case duplicates(DuplicateReport)
  case audit([AuditReport])
  case changes(ChangeReport)
  case functions([FunctionReport])
  case positions([PositionReport])
  case seek(SeekReport)
  case refused(OperatorRefusal)
}

/// Why a request was not carried out.
public struct OperatorRefusal: Error, Codable, Hashable, Sendable {
  public var reason: Reason
  public var message: String

  public enum Reason: String, Codable, Hashable, Sendable {
    /// The request names something that does not exist or breaks a rule.
    case badInput
    /// Only a running worker can do it.
    case needsWorker
    /// The store refused it for now.
    case tryAgain
    case failed
  }

  public init(_ reason: Reason, _ message: String) {
    self.reason = reason
    self.message = message
  }
}

/// What an action did, or would do.
public struct ActionReport: Codable, Hashable, Sendable {
  /// Whether it was carried out; otherwise this is a preview.
  public var isApplied: Bool
  /// A sentence for each thing that happens.
  public var effects: [String]
  /// Records that leave their lane, or are delivered again.
  public var records: UInt64

  public init(isApplied: Bool, effects: [String], records: UInt64) {
    self.isApplied = isApplied
    self.effects = effects
    self.records = records
  }
}

/// Everything at a glance.
public struct StatusReport: Codable, Hashable, Sendable {
  /// The process that has the store open to work, if one has.
  public var worker: WorkerReport?
  public var streams: [StreamReport]
  public var mappings: [MappingReport]
  /// How long failure entries are kept whose mapping says nothing else, in milliseconds; `nil`: until somebody deletes
  /// them.
  public var failureRetentionMilliseconds: Int64?
  /// What has passed a threshold of the configuration (`listen.ready…`), which makes a worker not ready; `nil` if nobody
  /// knows the thresholds: the store does not keep them, the worker does.
  public var passedThresholds: [PassedThreshold]?
  /// Milliseconds since 1970.
  public var generatedAt: Int64
}

/// A threshold of the configuration that a mapping has passed.
public struct PassedThreshold: Codable, Hashable, Sendable {
  public var mapping: String
  /// Which one: such as `listen.readyFailureEntries`.
  public var setting: String
  /// In words, with the threshold and its unit; as `/ready` says it.
  public var reason: String

  public init(mapping: String, setting: String, reason: String) {
    self.mapping = mapping
    self.setting = setting
    self.reason = reason
  }
}

public struct WorkerReport: Codable, Hashable, Sendable {
  public var processID: Int32
  public var address: String?

  public init(processID: Int32, address: String?) {
    self.processID = processID
    self.address = address
  }
}

public struct StreamReport: Codable, Hashable, Sendable {
  public var name: String
  public var kind = StreamKind.kinesis
  public var retentionMilliseconds: Int64
  public var recordByteLimit: Int
  public var createdAt: Int64
  public var shards: [ShardReport]
}

public struct ShardReport: Codable, Hashable, Sendable {
  public var shard: String
  public var isOpen: Bool
  public var parents: [String]
  public var firstHashKey: String
  public var lastHashKey: String
  /// Records that are there now.
  public var records: UInt64
  public var firstSequenceNumber: String?
  public var lastSequenceNumber: String?
  public var firstArrival: Int64?
  public var lastArrival: Int64?
}

public struct MappingReport: Codable, Hashable, Sendable {
  public var name: String
  public var stream: String
  public var isRunning: Bool
  public var state: MappingState
  /// As on AWS: who brought it into its state.
  public var stateTransitionReason = "User action"
  public var lastProcessingResult: String
  /// Whether the configuration that ran last has it. Where it has not, its checkpoints are kept until it is deleted.
  public var isConfigured: Bool
  /// Its settings in words, by their name in a configuration.
  public var settings: [String: String]
  public var lanes: [LaneReport]
  public var failureEntries: Int
  /// When the oldest of them was made, in milliseconds since 1970; `nil` without any.
  public var oldestFailureAt: Int64?
  /// When that one expires, in milliseconds since 1970; `nil` if it does not.
  public var oldestFailureExpiresAt: Int64?
  /// Where failure entries go from the store; `nil` if they stay there, or no worker runs the mapping.
  public var destination: String?
  /// Entries on their way to the destination.
  public var pendingDeliveries: Int
  /// Entries that could not be delivered, and stay until somebody acts.
  public var undeliverableEntries: Int
  /// Of a shadow mapping what its handler has answered since the worker added it; `nil` for others, and without a worker.
  public var shadow: ShadowReport?
}

/// A failure entry without its records.
public struct FailureReport: Codable, Hashable, Sendable {
  public var entry: UInt64
  public var mapping: String
  public var stream: String
  public var shard: String
  public var condition: String
  public var createdAt: Int64
  public var firstSequenceNumber: String
  public var lastSequenceNumber: String
  public var records: Int
  public var firstArrival: Int64
  public var lastArrival: Int64
  /// Deliveries of just these records that used up an attempt.
  public var attemptsMade: Int
  /// The failed deliveries that any of the records was in, those of larger batches too, and of redrives; oldest first.
  public var attempts: [AttemptReport]
  /// How many more there were between the oldest and the newest.
  public var attemptsOmitted: Int
  /// What happened besides, oldest first.
  public var events: [RecordEventReport]
  public var redrives: Int
  /// When the last redrive ended that did not succeed, or was put off without a delivery.
  public var lastRedriveAt: Int64?
  /// How far it has come to the mapping's destination; `nil` if it has none but the store.
  public var delivery: DeliveryReport?
  /// The tumbling window that the records were in.
  public var window: FailedWindowReport?
  /// When it expires, in milliseconds since 1970; `nil` if it stays until somebody deletes it. While its delivery is
  /// pending or its redrive is under way it stays all the same.
  public var expiresAt: Int64?
}

/// How far a failure entry has come to the destination of its mapping.
public struct DeliveryReport: Codable, Hashable, Sendable {
  public var state: State
  /// Attempts that failed.
  public var attempts: Int
  /// When it is tried next, while it is pending; otherwise when it was delivered or given up. Milliseconds since 1970.
  public var at: Int64
  /// Where it lies once it is delivered; before, why the last attempt failed. Empty if there was none.
  public var detail: String

  public enum State: String, Codable, Hashable, Sendable {
    case pending
    case delivered
    case undeliverable
  }
}

public struct FailedRecord: Codable, Hashable, Sendable {
  public var sequenceNumber: String
  public var partitionKey: String
  public var arrival: Int64
  /// The data if it is UTF-8 text.
  public var text: String?
  /// The data in base64 otherwise.
  public var base64: String?
}

public struct AuditReport: Codable, Hashable, Sendable {
  public var at: Int64
  public var actor: String
  public var action: String
  public var subject: String
  public var detail: String
}
