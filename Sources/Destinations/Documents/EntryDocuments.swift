public import LambdaRuntime
import StreamModel
import StreamRuntime
public import StreamStore

/// Makes the documents of one mapping's failure entries: everything that Lambda says and an entry does not.
public struct EntryDocuments: Sendable {
  public var shape: EventShape
  public var identity: EventIdentity
  /// The name of the function that the mapping calls.
  public var function: String
  /// The id of the mapping, in the form of a UUID.
  public let mappingID: String
  private let streamARN: String
  private let writer: EventWriter

  public init(
    mapping: MappingInfo, stream: StreamInfo, function: String, shape: EventShape = .kinesis,
    identity: EventIdentity = EventIdentity()
  ) {
    self.shape = shape
    self.identity = identity
    self.function = function
    mappingID = Self.mappingID(of: mapping)
    streamARN = identity.streamARN(stream.name)
    writer = EventWriter(identity: identity, stream: stream.name)
  }

  /// The same for as long as the mapping is in its store.
  public static func mappingID(of mapping: MappingInfo) -> String {
    NameUUID.make("mapping \(mapping.name) \(mapping.createdAt.milliseconds)")
  }

  public func document(for entry: FailureSummary) -> FailureDocument {
    // Behind the attempts that led here stand those of redrives that failed.
    let attempts = entry.history.dropLast(entry.redrives)
    return FailureDocument(
      requestID: attempts.last?.requestID ?? NameUUID.make("request \(name(of: entry))"),
      functionARN: identity.functionARN(function), condition: entry.condition.name,
      approximateInvokeCount: entry.attempts, response: response(to: attempts.last, entry.condition),
      timestamp: entry.createdAt,
      batch: FailureDocument.BatchInfo(
        shape: shape, shardID: shardID(of: entry), startSequenceNumber: number(entry.firstIndex, of: entry),
        endSequenceNumber: number(entry.lastIndex, of: entry), firstArrival: entry.firstArrival,
        lastArrival: entry.lastArrival, batchSize: entry.count, streamARN: streamARN),
      window: entry.window.map {
        .init(bounds: $0.bounds, isFinal: $0.isFinal, isTerminatedEarly: $0.isTerminatedEarly)
      })
  }

  /// The event that the function would get with all records of the entry.
  public func event(of entry: FailureEntry) -> [UInt8] {
    let origin = BatchOrigin(
      stream: writer.stream, shard: entry.summary.address.shard,
      shardCreatedAtSeconds: entry.summary.shardCreatedAtSeconds, attempt: 1)
    var buffer = EventBuffer()
    let records =
      entry.records.count > 0
      ? RecordBatch(origin: origin, run: entry.records, range: 0..<entry.records.count) : nil
    if let window = entry.summary.window {
      writer.write(
        WindowedBatch(
          origin: origin, records: records, window: window.bounds, state: WindowState(window.state),
          isTerminatedEarly: window.isTerminatedEarly), into: &buffer)
    } else if let records {
      writer.write(records, into: &buffer)
    }
    return buffer.bytes
  }

  /// Where the document of an entry lies.
  public func key(for entry: FailureSummary) -> ObjectKey {
    ObjectKey(
      mappingID: mappingID, shardID: shardID(of: entry), timestamp: entry.createdAt,
      documentID: NameUUID.make("document \(name(of: entry))"))
  }

  /// What tells an entry from all others, of this store and of others.
  private func name(of entry: FailureSummary) -> String {
    "\(mappingID) \(entry.number) \(entry.createdAt.milliseconds)"
  }

  /// Nothing was answered to a batch that left for its age, or that no function could take.
  private func response(to attempt: AttemptRecord?, _ condition: FailureCondition) -> FailureDocument.Response? {
    guard let attempt, condition != .recordAgeExceeded else { return nil }
    return switch attempt.kind {
    case .error, .timedOut, .exited, .invalidResponse: .functionError
    case .reportedNoProgress: .reportedItemFailures
    case .payloadTooLarge, .throttled, .unavailable: nil
    }
  }

  private func shardID(of entry: FailureSummary) -> String { entry.address.shard.description }

  private func number(_ index: RecordIndex, of entry: FailureSummary) -> String {
    SequenceNumber(shardCreatedAtSeconds: entry.shardCreatedAtSeconds, shard: entry.address.shard, index: index)
      .description
  }
}
