public import StreamModel

/// The keys that a lane has parked, for those who form its batches: asked once for each record.
///
/// An open table that grows at an eighth of its size, so that hardly a key that is not in it meets one that is; the hashes
/// of keys are their own places in it.
public struct ParkedKeySet: Hashable, Sendable {
  @usableFromInline private(set) var table: [UInt64] = []
  /// Beside each key of the table a number that its owner gave it.
  private var numbers: [Int32] = []
  public private(set) var count = 0

  public init() {}

  public var isEmpty: Bool { count == 0 }

  /// Zero marks a free place. The hash that is zero stands as another, and so two hashes are one key.
  @usableFromInline
  static func entry(of key: PartitionKeyHash) -> UInt64 { key.rawValue == 0 ? 1 : key.rawValue }

  @inlinable
  public func contains(_ key: PartitionKeyHash) -> Bool { slot(of: key) != nil }

  /// The first of the hashes at `positions` that is one of the keys; the end of `positions` if none is.
  @inlinable
  public func firstPosition(of hashes: UnsafeBufferPointer<UInt64>, in positions: Range<Int>) -> Int {
    guard count > 0 else { return positions.upperBound }
    return table.withUnsafeBufferPointer { table in
      let mask = UInt64(truncatingIfNeeded: table.count - 1)
      for position in positions {
        let entry = Self.entry(of: PartitionKeyHash(hashes[position]))
        var place = entry & mask
        var found = table[Int(truncatingIfNeeded: place)]
        while found != 0 {
          if found == entry { return position }
          place = (place + 1) & mask
          found = table[Int(truncatingIfNeeded: place)]
        }
      }
      return positions.upperBound
    }
  }

  public mutating func insert(_ key: PartitionKeyHash) { insert(key, number: 0) }

  /// A key that is there gets the number.
  mutating func insert(_ key: PartitionKeyHash, number: Int) {
    if let slot = slot(of: key) {
      numbers[slot] = Int32(number)
      return
    }
    if table.count < (count + 1) * 8 { grow() }
    add(Self.entry(of: key), number: Int32(number))
    count += 1
  }

  /// What the key was inserted with; `nil` if it is not there.
  func number(of key: PartitionKeyHash) -> Int? { slot(of: key).map { Int(numbers[$0]) } }

  @usableFromInline
  func slot(of key: PartitionKeyHash) -> Int? {
    guard count > 0 else { return nil }
    let entry = Self.entry(of: key)
    let mask = table.count - 1
    var place = Int(truncatingIfNeeded: entry) & mask
    while table[place] != 0 {
      if table[place] == entry { return place }
      place = (place + 1) & mask
    }
    return nil
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
      numbers[hole] = numbers[place]
      hole = place
    }
    table[hole] = 0
    count -= 1
  }

  private mutating func add(_ entry: UInt64, number: Int32) {
    let mask = table.count - 1
    var place = Int(truncatingIfNeeded: entry) & mask
    while table[place] != 0 { place = (place + 1) & mask }
    table[place] = entry
    numbers[place] = number
  }

  private mutating func grow() {
    let (former, formerNumbers) = (table, numbers)
    table = [UInt64](repeating: 0, count: max(64, table.count * 2))
    numbers = [Int32](repeating: 0, count: table.count)
    for place in former.indices where former[place] != 0 { add(former[place], number: formerNumbers[place]) }
  }

  // What is in the table counts, not where.
  public static func == (left: Self, right: Self) -> Bool { left.elements == right.elements }
  public func hash(into hasher: inout Hasher) { hasher.combine(elements) }
  private var elements: [UInt64] { table.filter { $0 != 0 }.sorted() }
}
