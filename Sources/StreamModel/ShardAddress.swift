/// A stream of one store, numbered from 1 in order of creation. Numbers are never used twice.
public struct StreamNumber: Hashable, Comparable, Sendable {
  public var rawValue: UInt32

  public init(_ rawValue: UInt32) {
    self.rawValue = rawValue
  }

  public static func < (left: StreamNumber, right: StreamNumber) -> Bool { left.rawValue < right.rawValue }
}

/// A shard of one stream, numbered from 0 in order of creation, as in `shardId-000000000003`.
public struct ShardNumber: Hashable, Comparable, Sendable, CustomStringConvertible {
  public var rawValue: UInt32

  public init(_ rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// Reads `shardId-000000000003` or the bare number `3`; `nil` for anything else.
  public init?(_ text: some StringProtocol) {
    let digits = text.hasPrefix(Self.prefix) ? text.dropFirst(Self.prefix.count) : text[...]
    guard !digits.isEmpty, digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let value = UInt32(digits) else {
      return nil
    }
    self.rawValue = value
  }

  public static func < (left: ShardNumber, right: ShardNumber) -> Bool { left.rawValue < right.rawValue }

  /// The id that AWS shows: `shardId-` and twelve digits.
  public var description: String {
    let digits = String(rawValue)
    return Self.prefix + String(repeating: "0", count: 12 - digits.count) + digits
  }

  private static let prefix = "shardId-"
}

/// One shard of one stream of a store: the first half of every key that the store keeps for the shard.
public struct ShardAddress: Hashable, Comparable, Sendable {
  public var stream: StreamNumber
  public var shard: ShardNumber

  public init(stream: StreamNumber, shard: ShardNumber) {
    self.stream = stream
    self.shard = shard
  }

  public static func < (left: ShardAddress, right: ShardAddress) -> Bool {
    (left.stream, left.shard) < (right.stream, right.shard)
  }
}

/// The place of a record in its shard: 0 for the first record ever put, then dense, without gaps.
public struct RecordIndex: Hashable, Comparable, Sendable {
  public var rawValue: UInt64

  public init(_ rawValue: UInt64) {
    self.rawValue = rawValue
  }

  public static var zero: RecordIndex { RecordIndex(0) }

  public static func < (left: RecordIndex, right: RecordIndex) -> Bool { left.rawValue < right.rawValue }

  // Inlinable because it is generic: elsewhere it would look up how to count with every call.
  @inlinable
  public func advanced(by count: some BinaryInteger) -> RecordIndex {
    RecordIndex(rawValue + UInt64(count))
  }

  /// The index of the record before; `nil` for the first.
  public var previous: RecordIndex? { self > .zero ? RecordIndex(rawValue - 1) : nil }

  /// How many records lie between this index and a later `other`.
  public func distance(to other: RecordIndex) -> UInt64 {
    precondition(other >= self, "a distance between record indexes runs forward")
    return other.rawValue - rawValue
  }
}
