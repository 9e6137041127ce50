public import ShardCore
public import StreamModel

/// What the store remembers of a mapping, so that a command without a worker can say what its lanes would do.
public struct MappingSettings: Hashable, Sendable {
  public var stream: StreamNumber
  public var policy: LanePolicy
  /// The rules whose consequences stand in the policy.
  public var retryRules: [RetryRule] = [] {
    didSet { policy.retryRules = RetryRuleMatcher(retryRules)?.forCore }
  }
  /// The settings in words, by the name that they have in a configuration. Empty for a mapping of a library.
  public var parameters: [String: String] = [:]
  /// How long its failure entries are kept.
  public var failureRetention = FailureRetention.ofStore
  /// Whether the configuration that ran last had the mapping.
  public var isConfigured = true
  /// How the last delivery ended, as of the last second.
  public var lastResult = LastResult.none
  /// The first records that its filter could not judge, as of the last second.
  public var filterExamples = FilterExamples()

  public init(stream: StreamNumber, policy: LanePolicy) {
    self.stream = stream
    self.policy = policy
  }

  /// Takes over what the mapping has seen so far. Examples of another filter are none of this one.
  public mutating func inherit(from former: MappingSettings) {
    lastResult = former.lastResult
    let filter = MappingSettings.filterParameter
    filterExamples = former.parameters[filter] == parameters[filter] ? former.filterExamples : FilterExamples()
  }

  /// The name of the setting that says what is filtered.
  private static let filterParameter = "FilterCriteria"

  /// Version 2 had the policy only.
  private static let version: UInt8 = 3

  private enum More {
    static let parking: UInt8 = 1
    static let window: UInt8 = 2
    static let filterExamples: UInt8 = 4
    static let retryRules: UInt8 = 8
    static let shadow: UInt8 = 16
    static let failureRetention: UInt8 = 32
    static let all = parking | window | filterExamples | retryRules | shadow | failureRetention
  }
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
    writer.write(UInt8(isConfigured ? 1 : 0))
    writer.write(lastResult.rawValue)
    writer.write(UInt32(parameters.count))
    for (name, value) in parameters.sorted(by: { $0.key < $1.key }) {
      writer.write(name)
      writer.write(value)
    }
    // What a version before it did not know of is left out where it is not used: it reads the rest then.
    let more =
      (policy.parking == nil ? 0 : More.parking) | (policy.tumblingWindowMilliseconds > 0 ? More.window : 0)
      | (filterExamples.isEmpty ? 0 : More.filterExamples) | (retryRules.isEmpty ? 0 : More.retryRules)
      | (policy.isShadow ? More.shadow : 0) | (failureRetention == .ofStore ? 0 : More.failureRetention)
    if more != 0 { writer.write(more) }
    if let parking = policy.parking {
      writer.write(Int64(parking.keyLimit))
      writer.write(Int64(parking.recordLimit))
      writer.write(Int64(parking.deliveryLimit))
    }
    if policy.tumblingWindowMilliseconds > 0 { writer.write(policy.tumblingWindowMilliseconds) }
    if !filterExamples.isEmpty { writer.write(filterExamples) }
    if !retryRules.isEmpty { writer.write(retryRules) }
    switch failureRetention {
    case .ofStore: break
    case .forever: writer.write(Self.none)
    case .milliseconds(let milliseconds): writer.write(milliseconds)
    }
    return writer.bytes
  }

  /// `nil` if another version wrote it, or it is damaged.
  public init?(decoding bytes: [UInt8]) {
    var reader = ByteReader(bytes)
    do {
      let version: UInt8 = try reader.read()
      guard (2...Self.version).contains(version) else { return nil }
      stream = StreamNumber(try reader.read())
      policy = try LanePolicy(from: &reader)
      let limit: Int64 = try reader.read()
      guard limit >= 1 else { return nil }
      policy.unstoredBatchLimit = Int(clamping: limit)
      if version > 2 {
        let configured: UInt8 = try reader.read()
        let result: UInt8 = try reader.read()
        guard configured <= 1, let lastResult = LastResult(rawValue: result) else { return nil }
        (isConfigured, self.lastResult) = (configured == 1, lastResult)
        let count: UInt32 = try reader.read()
        for _ in 0..<count {
          let name = try reader.readString()
          parameters[name] = try reader.readString()
        }
      }
      let isAll = reader.isAtEnd
      let more: UInt8 = isAll ? 0 : try reader.read()
      guard more & ~More.all == 0, isAll || more != 0 else { return nil }
      if more & More.parking != 0 {
        let keys: Int64 = try reader.read()
        let records: Int64 = try reader.read()
        let deliveries: Int64 = try reader.read()
        guard keys >= 1, records >= 1, deliveries >= 1 else { return nil }
        policy.parking = ParkingPolicy(
          keyLimit: Int(clamping: keys), recordLimit: Int(clamping: records), deliveryLimit: Int(clamping: deliveries))
      }
      if more & More.window != 0 { policy.tumblingWindowMilliseconds = try reader.read() }
      policy.isShadow = more & More.shadow != 0
      if more & More.filterExamples != 0 { filterExamples = try reader.readFilterExamples() }
      if more & More.retryRules != 0 {
        let rules = try reader.readRetryRules()
        policy.retryRules = RetryRuleMatcher(rules)?.forCore
        retryRules = rules
      }
      if more & More.failureRetention != 0 {
        let milliseconds: Int64 = try reader.read()
        guard milliseconds > 0 || milliseconds == Self.none else { return nil }
        failureRetention = milliseconds == Self.none ? .forever : .milliseconds(milliseconds)
      }
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
