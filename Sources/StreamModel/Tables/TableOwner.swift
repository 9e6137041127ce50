/// Whose entries are meant. Both kinds keep lanes apart, and so no two of them can write the same entry.
public enum TableOwner: Hashable, Sendable {
  /// The lane: the shard as worked by this mapping, or with a `ParallelizationFactor` one of its lanes. The entries stay
  /// with it. A shard that comes from a split or a merge begins without any, and so do lanes after a change of the factor.
  case lane
  /// The records with one partition key. They go through one lane at a time, whatever becomes of shards, and the entries
  /// are there wherever that is.
  case partitionKey(HashKey)

  /// The owner of entries about the record's partition key.
  public static func partitionKey(of record: borrowing RecordView) -> TableOwner {
    .partitionKey(unsafe record.partitionKeyBytes.withUnsafeBytes { unsafe HashKey(partitionKeyBytes: $0) })
  }
}

/// The lane that tables belong to.
public struct TableLane: Hashable, Sendable {
  public var shard: ShardNumber
  /// Among the lanes that share the shard, from 0.
  public var slot: UInt8
  /// The hash keys that the shard holds.
  public var hashKeys: HashKeyRange

  public init(shard: ShardNumber, slot: UInt8 = 0, hashKeys: HashKeyRange = .all) {
    self.shard = shard
    self.slot = slot
    self.hashKeys = hashKeys
  }
}

/// The place of an entry among those of its mapping: table, owner, key. Ordered by its bytes.
public struct TableEntryKey: Hashable, Comparable, Sendable {
  /// The length of the name and the name; the kind of owner and the owner; the key.
  public let bytes: [UInt8]

  public init(bytes: [UInt8]) { self.bytes = bytes }

  public static func < (left: TableEntryKey, right: TableEntryKey) -> Bool {
    left.bytes.lexicographicallyPrecedes(right.bytes)
  }

  private enum Tag {
    static let lane: UInt8 = 0
    static let partitionKey: UInt8 = 1
  }

  /// The beginning of every entry of this table and owner.
  public static func prefix(_ table: String, _ owner: TableOwner, in lane: TableLane) throws(TableError) -> [UInt8] {
    var bytes = try prefix(table)
    switch owner {
    case .lane:
      bytes.append(Tag.lane)
      bytes.append(bigEndian: lane.shard.rawValue)
      bytes.append(lane.slot)
    case .partitionKey(let key):
      guard lane.hashKeys.contains(key) else { throw .foreignPartitionKey }
      bytes.append(Tag.partitionKey)
      bytes.append(bigEndian: key.rawValue)
    }
    return bytes
  }

  /// The beginning of every entry of this table.
  public static func prefix(_ table: String) throws(TableError) -> [UInt8] {
    let count = table.utf8.count
    guard (1...TableLimits.nameByteCount).contains(count), table.utf8.allSatisfy(isAllowed) else {
      throw .invalidTableName(String(table.prefix(TableLimits.nameByteCount)))
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 64)
    bytes.append(UInt8(count))
    bytes.append(contentsOf: table.utf8)
    return bytes
  }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"):
      true
    default: false
    }
  }

  /// What stands in the bytes; `nil` if they are not such a key.
  public var parts: (table: String, owner: Owner, key: [UInt8])? {
    guard let length = bytes.first.map({ Int($0) }), bytes.count > length + 1 else { return nil }
    let name = String(decoding: bytes[1...length], as: UTF8.self)
    let rest = bytes[(length + 2)...]
    switch bytes[length + 1] {
    case Tag.lane where rest.count >= 5:
      let shard = rest.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      return (name, .lane(ShardNumber(shard), slot: rest[rest.startIndex + 4]), Array(rest.dropFirst(5)))
    case Tag.partitionKey where rest.count >= 16:
      let key = rest.prefix(16).reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
      return (name, .partitionKey(HashKey(key)), Array(rest.dropFirst(16)))
    default: return nil
    }
  }

  /// An owner, seen from outside of any lane.
  public enum Owner: Hashable, Sendable {
    case lane(ShardNumber, slot: UInt8)
    case partitionKey(HashKey)
  }
}

extension [UInt8] {
  fileprivate mutating func append<Number: FixedWidthInteger>(bigEndian number: Number) {
    for shift in stride(from: Number.bitWidth - 8, through: 0, by: -8) {
      append(UInt8(truncatingIfNeeded: number >> Number(shift)))
    }
  }
}
