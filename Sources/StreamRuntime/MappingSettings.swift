public import ShardCore
public import StreamModel

/// What the store remembers of a mapping, so that a command without a worker can say what its lanes would do.
public struct MappingSettings: Hashable, Sendable {
  public var stream: StreamNumber
  public var policy: LanePolicy

  public init(stream: StreamNumber, policy: LanePolicy) {
    self.stream = stream
    self.policy = policy
  }

  private static let version: UInt8 = 2
  /// Stands for `nil`: neither setting can be negative.
  private static let none: Int64 = -1

  public func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(Self.version)
    writer.write(stream.rawValue)
    writer.write(Int64(policy.batchSize))
    writer.write(Int64(policy.payloadByteLimit))
    writer.write(policy.windowMilliseconds)
    writer.write(policy.maximumRetryAttempts.map { Int64($0) } ?? Self.none)
    writer.write(policy.maximumRecordAgeMilliseconds ?? Self.none)
    writer.write(Int64(policy.bisectsBatchOnError ? 1 : 0))
    writer.write(policy.handlerTimeoutMilliseconds)
    for backoff in [policy.retryBackoff, policy.systemBackoff] {
      writer.write(backoff.firstMilliseconds)
      writer.write(backoff.capMilliseconds)
      writer.write(Int64(backoff.jitterPercent))
    }
    writer.write(Int64(policy.deliveriesInFlightLimit))
    writer.write(Int64(policy.unstoredBatchLimit))
    return writer.bytes
  }

  /// `nil` if another version wrote it, or it is damaged.
  public init?(decoding bytes: [UInt8]) {
    var reader = ByteReader(bytes)
    do {
      let version: UInt8 = try reader.read()
      guard version == Self.version else { return nil }
      stream = StreamNumber(try reader.read())
      policy = try LanePolicy(from: &reader)
      let limit: Int64 = try reader.read()
      guard limit >= 1 else { return nil }
      policy.unstoredBatchLimit = Int(clamping: limit)
      guard reader.isAtEnd else { return nil }
    } catch {
      return nil
    }
  }
}

extension LanePolicy {
  fileprivate init(from reader: inout ByteReader) throws(LaneRecordError) {
    func number(_ reader: inout ByteReader) throws(LaneRecordError) -> Int64 { try reader.read() }
    func backoff(_ reader: inout ByteReader) throws(LaneRecordError) -> Backoff {
      Backoff(
        firstMilliseconds: try number(&reader), capMilliseconds: try number(&reader),
        jitterPercent: Int(clamping: try number(&reader)))
    }
    let batchSize = Int(clamping: try number(&reader))
    let payloadByteLimit = Int(clamping: try number(&reader))
    let window = try number(&reader)
    let attempts = try number(&reader)
    let age = try number(&reader)
    let bisects = try number(&reader) != 0
    let timeout = try number(&reader)
    let retry = try backoff(&reader)
    let system = try backoff(&reader)
    self.init(
      batchSize: batchSize, payloadByteLimit: payloadByteLimit, windowMilliseconds: window,
      maximumRetryAttempts: attempts < 0 ? nil : Int(attempts),
      maximumRecordAgeMilliseconds: age < 0 ? nil : age, bisectsBatchOnError: bisects,
      handlerTimeoutMilliseconds: timeout, retryBackoff: retry, systemBackoff: system,
      deliveriesInFlightLimit: Int(clamping: try number(&reader)))
  }
}
