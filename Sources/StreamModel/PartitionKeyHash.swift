/// A partition key as lanes that block by key know it: its hash, the same in every process and on every machine, because
/// parked keys are stored under it. The store says how it is made.
///
/// Two keys with one hash are treated as one key: they wait for each other, and nothing else comes of it.
public struct PartitionKeyHash: Hashable, Comparable, Sendable {
  public var rawValue: UInt64

  public init(_ rawValue: UInt64) {
    self.rawValue = rawValue
  }

  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Records of a shard that follow one another, never none.
public struct RecordRange: Hashable, Sendable {
  public var first: RecordIndex
  public var count: UInt64

  public init(first: RecordIndex, count: UInt64) {
    precondition(count > 0, "a range of records holds one or more")
    self.first = first
    self.count = count
  }

  public var last: RecordIndex { first.advanced(by: count - 1) }

  /// The index behind the last record.
  public var end: RecordIndex { first.advanced(by: count) }
}

/// A record of a parked key: it was kept out of a batch, and waits with those of its key.
public struct ParkedRecord: Hashable, Sendable {
  public var key: PartitionKeyHash
  public var index: RecordIndex

  public init(key: PartitionKeyHash, index: RecordIndex) {
    self.key = key
    self.index = index
  }
}
