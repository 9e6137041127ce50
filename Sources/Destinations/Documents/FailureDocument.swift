public import StreamModel

/// What a destination is told about a batch that left its lane without success, in the JSON that Lambda sends.
///
/// Members stand in Lambda's order, without spaces. Without a payload it is what a queue or a topic gets; with one, what
/// an object in S3 holds.
public struct FailureDocument: Hashable, Sendable {
  /// The id of the last attempt; any if the batch was never delivered.
  public var requestID: String
  public var functionARN: String
  /// `RetryAttemptsExhausted` or `RecordAgeExceeded`; ours besides: `Skipped` by an operator, `GivenUpByRule`.
  public var condition: String
  /// At least 1: Lambda says 1 even of a batch that was never delivered.
  public var approximateInvokeCount: Int
  /// `nil` when the last attempt does not say why the batch left: it was too old, or no function could take it.
  public var response: Response?
  /// When the batch left.
  public var timestamp: WallTime
  public var batch: BatchInfo
  /// The tumbling window of the batch. Where its final invocation has failed there are no records to name.
  public var window: WindowInfo?

  /// `timeWindowInfo`
  public struct WindowInfo: Hashable, Sendable {
    public var bounds: TimeWindow
    public var isFinal: Bool
    public var isTerminatedEarly: Bool

    public init(bounds: TimeWindow, isFinal: Bool, isTerminatedEarly: Bool) {
      self.bounds = bounds
      self.isFinal = isFinal
      self.isTerminatedEarly = isTerminatedEarly
    }
  }

  /// What the function answered to the last attempt.
  public enum Response: Hashable, Sendable {
    /// `functionError` is `Unhandled`.
    case functionError
    /// The function ran and reported the first record as failed: `functionError` is `null`.
    case reportedItemFailures
  }

  /// Which records they are.
  public struct BatchInfo: Hashable, Sendable {
    public var kind: StreamKind
    public var shardID: String
    public var startSequenceNumber: String
    public var endSequenceNumber: String
    public var firstArrival: WallTime
    public var lastArrival: WallTime
    public var batchSize: Int
    public var streamARN: String

    public init(
      kind: StreamKind, shardID: String, startSequenceNumber: String, endSequenceNumber: String,
      firstArrival: WallTime, lastArrival: WallTime, batchSize: Int, streamARN: String
    ) {
      self.kind = kind
      self.shardID = shardID
      self.startSequenceNumber = startSequenceNumber
      self.endSequenceNumber = endSequenceNumber
      self.firstArrival = firstArrival
      self.lastArrival = lastArrival
      self.batchSize = batchSize
      self.streamARN = streamARN
    }
  }

  public init(
    requestID: String, functionARN: String, condition: String, approximateInvokeCount: Int, response: Response?,
    timestamp: WallTime, batch: BatchInfo, window: WindowInfo? = nil
  ) {
    self.requestID = requestID
    self.functionARN = functionARN
    self.condition = condition
    self.approximateInvokeCount = approximateInvokeCount
    self.response = response
    self.timestamp = timestamp
    self.batch = batch
    self.window = window
  }

  /// The document in JSON. `payload` is the whole event that the function would have got; it becomes a text inside the
  /// JSON, as in S3.
  public func encoded(payload: [UInt8]? = nil) -> [UInt8] {
    var json = DocumentWriter(capacity: 1_024 + (payload.map { $0.count + $0.count / 4 } ?? 0))
    json.raw(#"{"requestContext":{"requestId":"#)
    json.text(requestID)
    json.raw(#","functionArn":"#)
    json.text(functionARN)
    json.raw(#","condition":"#)
    json.text(condition)
    json.raw(#","approximateInvokeCount":\#(max(1, approximateInvokeCount))}"#)
    if let response {
      let error = response == .functionError ? #""Unhandled""# : "null"
      json.raw(#","responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":\#(error)}"#)
    }
    json.raw(#","version":"1.0""#)
    if let payload {
      json.raw(#","payload":"#)
      json.text(payload)
    }
    json.raw(#","timestamp":"#)
    json.text(CalendarTime(timestamp).withMilliseconds)
    json.raw(batch.kind == .kinesis ? #","KinesisBatchInfo":{"# : #","DDBStreamBatchInfo":{"#)
    json.raw(#""shardId":"#)
    json.text(batch.shardID)
    if window?.isFinal != true {
      json.raw(#","startSequenceNumber":"#)
      json.text(batch.startSequenceNumber)
      json.raw(#","endSequenceNumber":"#)
      json.text(batch.endSequenceNumber)
      json.raw(#","approximateArrivalOfFirstRecord":"#)
      json.text(arrival(batch.firstArrival))
      json.raw(#","approximateArrivalOfLastRecord":"#)
      json.text(arrival(batch.lastArrival))
      json.raw(#","batchSize":\#(batch.batchSize)"#)
    }
    json.raw(#","streamArn":"#)
    json.text(batch.streamARN)
    json.raw("}")
    if let window {
      json.raw(#","timeWindowInfo":{"window":{"start":"#)
      json.text(CalendarTime(window.bounds.start).withSeconds)
      json.raw(#","end":"#)
      json.text(CalendarTime(window.bounds.end).withSeconds)
      json.raw(
        #"},"isFinalInvokeForWindow":\#(window.isFinal),"isWindowTerminatedEarly":\#(window.isTerminatedEarly)}"#)
    }
    json.raw("}")
    return json.bytes
  }

  /// DynamoDB's arrivals are whole seconds.
  private func arrival(_ moment: WallTime) -> String {
    let time = CalendarTime(moment)
    return batch.kind == .kinesis ? time.withMilliseconds : time.withSeconds
  }
}
