/// How a mapping remembers what its handler has done, so that it is not asked to do it twice.
///
/// Keys of records that are done are kept in the store, in the commit of the checkpoint they belong to. A record whose key
/// is there is passed as done: it is not delivered again. A key counts among records of its partition key, which go
/// through one lane at a time.
public struct Idempotency: Hashable, Sendable {
  public var key: Key
  /// How long a key is remembered, 1 s ... 365 days.
  public var expiryMilliseconds: Int64
  /// Keys of the mapping at most, 1 ... 100,000,000. Where there is no room for those of a batch its lane waits.
  public var keyLimit: Int

  public enum Key: Hashable, Sendable {
    /// Each record is one thing to do: it is not done again after a partial failure, a redrive or a crash.
    case record
    /// Records with the same value at this path of their data, a JSON object, are one thing to do, also when they are put
    /// several times. A record without one has no key and is delivered as ever.
    case field([String])
  }

  public static let expiryLimits: ClosedRange<Int64> = 1_000...31_536_000_000
  public static let keyLimits = 1...100_000_000
  public static let pathLimit = 32

  public init(key: Key = .record, expiryMilliseconds: Int64 = 86_400_000, keyLimit: Int = 1_000_000) {
    self.key = key
    self.expiryMilliseconds = expiryMilliseconds
    self.keyLimit = keyLimit
  }

  /// Everything that breaks a rule.
  public var problems: [String] {
    var problems: [String] = []
    if !Self.expiryLimits.contains(expiryMilliseconds) {
      problems.append("idempotency expiry is \(expiryMilliseconds) ms: allowed are 1 second to 365 days")
    }
    if !Self.keyLimits.contains(keyLimit) {
      problems.append("idempotency keyLimit is \(keyLimit): allowed are 1 to 100,000,000 keys")
    }
    if case .field(let path) = key, path.isEmpty || path.count > Self.pathLimit || path.contains("") {
      problems.append(
        "idempotency key is a path of \(path.count) names: allowed are 1 to \(Self.pathLimit), none empty")
    }
    return problems
  }
}
