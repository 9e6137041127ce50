public import StreamModel

/// The keys that a lane has parked, for those who form its batches: asked once for each record.
///
/// An open table that grows at half its size; the hashes of keys are their own places in it.
public struct ParkedKeySet: Hashable, Sendable {
  @usableFromInline private(set) var table: [UInt64] = []
  public private(set) var count = 0

  public init() {}

  public var isEmpty: Bool { count == 0 }

  /// Zero marks a free place. The hash that is zero stands as another, and so two hashes are one key.
  @usableFromInline
  static func entry(of key: PartitionKeyHash) -> UInt64 { key.rawValue == 0 ? 1 : key.rawValue }

  @inlinable
  public func contains(_ key: PartitionKeyHash) -> Bool {
    guard count > 0 else { return false }
    let entry = Self.entry(of: key)
    let mask = table.count - 1
    var place = Int(truncatingIfNeeded: entry) & mask
    while table[place] != 0 {
      if table[place] == entry { return true }
      place = (place + 1) & mask
    }
    return false
  }

  public mutating func insert(_ key: PartitionKeyHash) {
    guard !contains(key) else { return }
    if table.count < (count + 1) * 2 { grow() }
    add(Self.entry(of: key))
    count += 1
  }

  public mutating func remove(_ key: PartitionKeyHash) {
    guard contains(key) else { return }
    let mask = table.count - 1
    let entry = Self.entry(of: key)
    var hole = Int(truncatingIfNeeded: entry) & mask
    while table[hole] != entry { hole = (hole + 1) & mask }
    // Those behind it that were pushed on from here, or from before, move up: a search ends at a free place.
    var place = hole
    while true {
      place = (place + 1) & mask
      guard table[place] != 0 else { break }
      let home = Int(truncatingIfNeeded: table[place]) & mask
      guard (place - home) & mask >= (place - hole) & mask else { continue }
      table[hole] = table[place]
      hole = place
    }
    table[hole] = 0
    count -= 1
  }

  private mutating func add(_ entry: UInt64) {
    let mask = table.count - 1
    var place = Int(truncatingIfNeeded: entry) & mask
    while table[place] != 0 { place = (place + 1) & mask }
    table[place] = entry
  }

  private mutating func grow() {
    let former = table
    table = [UInt64](repeating: 0, count: max(16, table.count * 2))
    for entry in former where entry != 0 { add(entry) }
  }

  // What is in the table counts, not where.
  public static func == (left: Self, right: Self) -> Bool { left.elements == right.elements }
  public func hash(into hasher: inout Hasher) { hasher.combine(elements) }
  private var elements: [UInt64] { table.filter { $0 != 0 }.sorted() }
}

/// A record that was kept out of a batch because its key is parked.
public struct ParkedRecord: Hashable, Sendable {
  public var key: PartitionKeyHash
  public var index: RecordIndex

  public init(key: PartitionKeyHash, index: RecordIndex) {
    self.key = key
    self.index = index
  }
}
