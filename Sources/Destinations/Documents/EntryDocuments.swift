public import LambdaRuntime
import StreamModel
import StreamRuntime
public import StreamStore
import TableChanges

/// Makes the documents of one mapping's failure entries: everything that Lambda says and an entry does not.
public struct EntryDocuments: Sendable {
  public var identity: EventIdentity
  /// The name of the function that the mapping calls.
  public var function: String
  /// What the records of the mapping are.
  public let contents: Contents
  /// The id of the mapping, in the form of a UUID.
  public let mappingID: String
  private let stream: StreamInfo
  private let streamARN: String
  private let writer: EventWriter

  public enum Contents: Hashable, Sendable {
    /// Records of a stream, which come to the function in events.
    case records
    /// Events that the function was given asynchronously, each under its request id.
    case invocations
  }

  public init(
    mapping: MappingInfo, stream: StreamInfo, function: String, identity: EventIdentity = EventIdentity(),
    contents: Contents = .records
  ) {
    self.stream = stream
    self.contents = contents
    self.identity = identity
    self.function = function
    mappingID = Self.mappingID(of: mapping)
    streamARN = identity.streamARN(stream.name, stream.kind, createdAt: stream.createdAt)
    writer = EventWriter(identity: identity, stream: stream.name, kind: stream.kind, createdAt: stream.createdAt)
  }

  /// The same for as long as the mapping is in its store.
  public static func mappingID(of mapping: MappingInfo) -> String {
    NameUUID.make("mapping \(mapping.name) \(mapping.createdAt.milliseconds)")
  }

  public func document(for failure: FailureEntry) -> FailureDocument {
    let entry = failure.summary
    let (first, last) = sequenceNumbers(of: failure)
    // Behind the attempts that led here stand those of redrives that failed.
    let attempts = entry.history.filter { $0.redriver == nil }
    return FailureDocument(
      requestID: attempts.last?.requestID ?? NameUUID.make("request \(name(of: entry))"),
      functionARN: identity.functionARN(function), condition: entry.condition.name,
      approximateInvokeCount: entry.attempts, response: response(to: attempts.last, entry.condition),
      timestamp: entry.createdAt,
      batch: FailureDocument.BatchInfo(
        kind: stream.kind, shardID: shardID(of: entry), startSequenceNumber: first, endSequenceNumber: last,
        firstArrival: entry.firstArrival,
        lastArrival: entry.lastArrival, batchSize: entry.count, streamARN: streamARN),
      window: entry.window.map {
        .init(bounds: $0.bounds, isFinal: $0.isFinal, isTerminatedEarly: $0.isTerminatedEarly)
      })
  }

  /// The document of an entry in JSON, with its event or without.
  public func encoded(_ entry: FailureEntry, includesPayload: Bool) -> [UInt8] {
    if contents == .invocations, let document = invocationDocument(for: entry) {
      return document.encoded(includesPayload: includesPayload)
    }
    return document(for: entry).encoded(payload: includesPayload ? event(of: entry) : nil)
  }

  /// `nil` of an entry without records, which has no event.
  func invocationDocument(for failure: FailureEntry) -> InvocationDocument? {
    guard failure.records.count > 0 else { return nil }
    let entry = failure.summary
    let batch = RecordBatch(origin: origin(of: entry), run: failure.records, range: 0..<failure.records.count)
    let (requestID, event) = (batch[0].partitionKey, batch[0].dataBytes)
    let last = entry.history.last { $0.redriver == nil && $0.kind.isOfHandler }
    return InvocationDocument(
      requestID: requestID, functionARN: identity.functionARN(function), condition: entry.condition.nameForInvocations,
      approximateInvokeCount: entry.attempts, event: event,
      response: last.map { .error(type: $0.type, message: $0.message, trace: $0.trace) },
      timestamp: entry.createdAt)
  }

  /// `nil` of an entry without an event of an asynchronous invocation.
  func deadLetter(of failure: FailureEntry) -> DeadLetter? {
    guard contents == .invocations, failure.records.count > 0 else { return nil }
    let batch = RecordBatch(
      origin: origin(of: failure.summary), run: failure.records, range: 0..<failure.records.count)
    return DeadLetter(
      requestID: batch[0].partitionKey, lastAttempt: failure.summary.history.last { $0.redriver == nil },
      event: batch[0].dataBytes)
  }

  /// Where the dead letter of an entry lies: not where its document does.
  func deadLetterKey(for entry: FailureSummary) -> ObjectKey {
    ObjectKey(
      mappingID: "dead-letter", shardID: function, timestamp: entry.createdAt,
      documentID: NameUUID.make("dead letter \(name(of: entry))"))
  }

  /// The event that the function would get with all records of the entry.
  public func event(of entry: FailureEntry) -> [UInt8] {
    let origin = origin(of: entry.summary)
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
    let isInvocation = contents == .invocations
    return ObjectKey(
      mappingID: isInvocation ? "async" : mappingID, shardID: isInvocation ? function : shardID(of: entry),
      timestamp: entry.createdAt, documentID: NameUUID.make("document \(name(of: entry))"))
  }

  /// What tells an entry from all others, of this store and of others.
  private func name(of entry: FailureSummary) -> String {
    "\(mappingID) \(entry.number) \(entry.createdAt.milliseconds)"
  }

  /// Nothing was answered to a batch that left for its age or as part of a loop, or that no function could take.
  private func response(to attempt: AttemptRecord?, _ condition: FailureCondition) -> FailureDocument.Response? {
    guard let attempt, condition != .recordAgeExceeded, condition != .recursiveInvocation else { return nil }
    return switch attempt.kind {
    case .error, .timedOut, .exited, .invalidResponse: .functionError
    case .reportedNoProgress: .reportedItemFailures
    case .payloadTooLarge, .throttled, .unavailable: nil
    }
  }

  private func shardID(of entry: FailureSummary) -> String { entry.address.shard.description }

  private func origin(of entry: FailureSummary) -> BatchOrigin {
    BatchOrigin(
      stream: stream.name, kind: stream.kind, streamCreatedAt: stream.createdAt, shard: entry.address.shard,
      shardCreatedAtSeconds: entry.shardCreatedAtSeconds, attempt: 1)
  }

  /// Those of its first and last record, as their events say them.
  private func sequenceNumbers(of failure: FailureEntry) -> (first: String, last: String) {
    let entry = failure.summary
    guard stream.kind == .dynamodb, failure.records.count > 0 else {
      return (number(entry.firstIndex, of: entry), number(entry.lastIndex, of: entry))
    }
    let batch = RecordBatch(
      origin: origin(of: entry), run: failure.records, range: 0..<failure.records.count)
    func text(_ position: Int) -> String {
      ChangeSequenceNumber.text(of: batch[position].data, batch.sequenceNumber(at: position))
    }
    return (text(0), text(batch.count - 1))
  }

  private func number(_ index: RecordIndex, of entry: FailureSummary) -> String {
    SequenceNumber(shardCreatedAtSeconds: entry.shardCreatedAtSeconds, shard: entry.address.shard, index: index)
      .description
  }
}

extension FailureCondition {
  /// As Lambda says it of an asynchronous invocation.
  fileprivate var nameForInvocations: String {
    switch self {
    case .retryAttemptsExhausted: "RetriesExhausted"
    case .recordAgeExceeded: "EventAgeExceeded"
    case .skipped, .givenUp, .recursiveInvocation: name
    }
  }
}
