import StreamModel
import StreamRuntime
import StreamStore

/// One delivery that failed, as `explain` and `failures show` print it.
public struct AttemptReport: Codable, Hashable, Sendable {
  /// Milliseconds since 1970.
  public var startedAt: Int64
  public var durationMilliseconds: Int64
  /// `error`, `timeout`, `exit`, `invalid-response`, `payload-too-large`, `no-progress`, `throttle` or `unavailable`.
  public var kind: String
  public var type: String
  public var message: String
  /// Empty for an older one: only of the newest are traces kept.
  public var trace: [String]
  /// The id of the invocation; the same for all retries of an unchanged batch.
  public var requestID: String
  /// The retry rule that decided what followed, if one did.
  public var rule: String?
  /// What was delivered. `nil`: a version stored it that did not keep this.
  public var batch: AttemptedBatchReport?
  /// Who asked for it, if it was the redrive of a failure entry; empty if that is not known.
  public var redrivenBy: String?

  init(_ record: AttemptRecord, in numbers: ShardNumbers) {
    startedAt = record.startedAt.milliseconds
    durationMilliseconds = record.durationMilliseconds
    kind = record.kind.name
    type = record.type
    message = record.message
    trace = record.trace
    requestID = record.requestID
    rule = record.rule
    batch = record.batch.map { batch in
      AttemptedBatchReport(
        firstSequenceNumber: numbers[batch.first],
        // The final invocation of a window stands before a record and has none.
        lastSequenceNumber: batch.count == 0 ? numbers[batch.first] : numbers[batch.last], records: batch.count,
        position: batch.position)
    }
    redrivenBy = record.redriver
  }
}

/// The batch of an attempt.
public struct AttemptedBatchReport: Codable, Hashable, Sendable {
  public var firstSequenceNumber: String
  public var lastSequenceNumber: String
  /// Zero for the final invocation of a tumbling window.
  public var records: Int
  /// Where the record that is asked about stood in it, from 0; of a batch or entry, its first record. `nil`: not known.
  public var position: Int?
}

/// What happened to failing records besides their attempts.
public struct RecordEventReport: Codable, Hashable, Sendable {
  /// `parked`, `skipped` or `redriven`.
  public var kind: String
  /// Milliseconds since 1970.
  public var at: Int64
  /// The operator, if it was one.
  public var actor: String?

  init(_ event: RecordEvent) {
    kind =
      switch event.kind {
      case .parked: "parked"
      case .skipped: "skipped"
      case .redriven: "redriven"
      }
    at = event.at.milliseconds
    actor = event.actor
  }
}

/// The sequence numbers of a shard.
struct ShardNumbers {
  var createdAtSeconds: UInt64
  var shard: ShardNumber

  init(_ info: ShardInfo) { self.init(createdAtSeconds: info.createdAtSeconds, shard: info.address.shard) }

  init(createdAtSeconds: UInt64, shard: ShardNumber) {
    self.createdAtSeconds = createdAtSeconds
    self.shard = shard
  }

  subscript(index: RecordIndex) -> String {
    SequenceNumber(shardCreatedAtSeconds: createdAtSeconds, shard: shard, index: index).description
  }
}
