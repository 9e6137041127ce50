import ShardCore
import StreamModel
import StreamRuntime
import StreamStore

/// A partition key that waits while the rest of its lane goes on. Times are milliseconds since 1970.
public struct ParkedKeyReport: Codable, Hashable, Sendable {
  /// Invalid UTF-8 is shown as `�`; `nil` if its next record cannot be read now.
  public var partitionKey: String?
  public var since: Int64
  /// The first of its records that is not settled, and how many there are.
  public var firstSequenceNumber: String
  public var records: UInt64
  public var attemptsMade: Int
  /// Why it last failed, as `type: message`.
  public var error: String?
  /// `nil` while it is being delivered, while a damaged block holds it, and where no worker runs.
  public var nextAttemptAt: Int64?
  public var isDelivering: Bool

  /// A report names so many keys at most, those that wait longest.
  public static let limit = 100
}

extension LaneReportBuilder {
  /// The parked keys of a lane: of the poller that runs, or of the store.
  func parkedKeys(
    _ look: LaneLook?, _ stored: StoredLane, _ lane: LaneKey, in shard: ShardInfo
  ) throws -> (keys: [ParkedKeyReport], keyCount: Int, recordCount: UInt64) {
    let looks = try looks(look, stored, lane)
    let reports = try looks.prefix(ParkedKeyReport.limit).map { key in
      ParkedKeyReport(
        partitionKey: try partitionKey(at: key.snapshot.first, in: shard), since: key.snapshot.since.milliseconds,
        firstSequenceNumber: shard.sequenceNumber(of: key.snapshot.first).description,
        records: key.snapshot.recordCount, attemptsMade: key.snapshot.failing?.attempts ?? 0,
        error: key.history.last.map { "\($0.type): \($0.message)" },
        nextAttemptAt: look == nil ? nil : key.snapshot.due.map { wall($0) },
        isDelivering: look != nil && key.snapshot.isDelivering)
    }
    return (reports, looks.count, looks.reduce(0) { $0 + $1.snapshot.recordCount })
  }

  func looks(_ look: LaneLook?, _ stored: StoredLane, _ lane: LaneKey) throws -> [ParkedKeyLook] {
    try look?.parkedKeys ?? storedKeys(stored, lane)
  }

  private func storedKeys(_ stored: StoredLane, _ lane: LaneKey) throws -> [ParkedKeyLook] {
    guard stored.progress.parksKeys else { return [] }
    return try ParkedKeyLook.stored(try store.parkedKeys(of: lane))
  }

  private func partitionKey(at index: RecordIndex, in shard: ShardInfo) throws -> String? {
    let extent = BatchExtent(first: index, count: 1, firstArrival: .zero, lastArrival: .zero, payloadBytes: 0)
    return try batch(extent, of: shard).partitionKey
  }
}
