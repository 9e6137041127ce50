internal import Glibc
public import StreamModel

/// Records of one shard that follow one another, packed as ``RecordLayout`` says: what a ``RecordRunBuilder`` takes.
@safe
public final class PackedRecords {
  /// In one place. Nobody holds on to it but who appends, for the time of that: so no access is checked for exclusivity,
  /// which takes longer than most of the rest.
  @safe @exclusivity(unchecked) var content: PackedContent

  /// So many bytes make it full; one record may be larger.
  public static let byteLimit = 256 << 10

  public init(shard: ShardNumber, first: RecordIndex, firstArrival: WallTime) {
    content = PackedContent(shard: shard, first: first, firstArrival: firstArrival)
  }

  deinit { content.deallocate() }

  /// Forgets its records, and takes others into the same memory.
  public func reuse(for shard: ShardNumber, first: RecordIndex, firstArrival: WallTime) {
    content.reuse(for: shard, first: first, firstArrival: firstArrival)
  }

  /// Nothing is appended any more: gives back memory that is not used, unless these are full.
  func fit() { content.fit() }

  public var shard: ShardNumber { content.shard }
  public var first: RecordIndex { content.first }
  public var firstArrival: WallTime { content.firstArrival }
  public var lastArrival: WallTime { content.lastArrival }
  public var count: Int { content.count }
  /// The index behind the last record.
  public var end: RecordIndex { content.end }
  public var byteCount: Int { content.used }
  /// It holds much more memory than most do, because of a large record.
  public var isLarge: Bool { unsafe content.memory.count > 4 * Self.byteLimit }

  /// Whether the record may stand here, behind the others.
  public func takes(_ index: RecordIndex, arrival: WallTime) -> Bool { content.takes(index, arrival: arrival) }

  /// The bytes of memory that the records take.
  public var memoryByteCount: Int { unsafe content.memory.count }

  /// Whether ``expand(with:)`` comes before ``bytes``, ``offset(of:)`` and what appends.
  public var isCompressed: Bool { content.isCompressed }

  /// Compresses the records where that saves memory: for records that wait.
  public func compress(with compressor: RecordCompressor) { content.compress(with: compressor) }

  /// Makes the records what they were before they were compressed.
  public func expand(with compressor: RecordCompressor) { content.expand(with: compressor) }

  /// Where the record at `index` begins among ``bytes``, or behind the last one. Walks over a few headers.
  public func offset(of index: RecordIndex) -> Int {
    let place = Int(content.first.distance(to: index))
    var (at, offset) = content.mark(before: place)
    let base = unsafe bytes.baseAddress
    while at < place, let base = unsafe base {
      unsafe offset += RecordHeader(at: base + offset).byteCount
      at += 1
    }
    return offset
  }

  /// The packed bytes of all records; valid as long as nothing is appended and this lives.
  @unsafe
  public var bytes: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(rebasing: content.memory[..<content.used]) }
}

/// The records of a ``PackedRecords``, which frees the memory.
@safe
struct PackedContent {
  private(set) var shard: ShardNumber
  private(set) var first: RecordIndex
  private(set) var count = 0
  private(set) var firstArrival: WallTime
  private(set) var lastArrival: WallTime
  fileprivate private(set) var memory: UnsafeMutableRawBufferPointer
  /// Of the records, as they are when they are not compressed.
  private(set) var used = 0
  private(set) var isCompressed = false
  /// Where every so many records one begins.
  private var marks: [UInt32] = []
  private static let markInterval = 32
  /// What a first record gets at least: small, because a recording of thousands of shards has a piece of each at once.
  private static let leastByteCount = 1 << 10

  init(shard: ShardNumber, first: RecordIndex, firstArrival: WallTime) {
    self.shard = shard
    self.first = first
    self.firstArrival = firstArrival
    lastArrival = firstArrival
    unsafe memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  }

  func deallocate() { unsafe free(memory.baseAddress) }

  mutating func reuse(for shard: ShardNumber, first: RecordIndex, firstArrival: WallTime) {
    self.shard = shard
    self.first = first
    self.firstArrival = firstArrival
    lastArrival = firstArrival
    count = 0
    used = 0
    isCompressed = false
    marks.removeAll(keepingCapacity: true)
  }

  var end: RecordIndex { first.advanced(by: count) }
  var isFull: Bool { used >= PackedRecords.byteLimit }

  @inline(__always)
  func takes(_ index: RecordIndex, arrival: WallTime) -> Bool {
    index == end && !isFull
      && arrival.milliseconds - firstArrival.milliseconds <= RecordLayout.greatestArrivalDelta
  }

  /// Appends a record, and gives the memory for its data: so many bytes, which are to be written at once.
  @unsafe
  @inline(__always)
  mutating func append(
    arrival: WallTime, key: UnsafeRawBufferPointer, hashKey: HashKey?, lineage: Lineage, dataByteCount: Int
  ) -> UnsafeMutableRawPointer {
    let size = RecordLayout.byteCount(
      keyByteCount: key.count, dataByteCount: dataByteCount, hasExplicitHashKey: hashKey != nil)
    if unsafe used + size > memory.count { grow(by: size) }
    var out = unsafe memory.baseAddress.unsafelyUnwrapped + used
    let delta = UInt32(arrival.milliseconds - firstArrival.milliseconds)
    unsafe out.storeBytes(of: delta.littleEndian, as: UInt32.self)
    unsafe out.storeBytes(of: UInt32(dataByteCount).littleEndian, toByteOffset: 4, as: UInt32.self)
    unsafe out.storeBytes(of: UInt16(key.count).littleEndian, toByteOffset: 8, as: UInt16.self)
    let flags = RecordLayout.flags(hasExplicitHashKey: hashKey != nil, lineage)
    unsafe out.storeBytes(of: flags.littleEndian, toByteOffset: 10, as: UInt16.self)
    unsafe out += RecordLayout.headerByteCount
    if let hashKey {
      unsafe out.storeBytes(of: hashKey.rawValue.littleEndian, as: UInt128.self)
      unsafe out += RecordLayout.explicitHashKeyByteCount
    }
    if let source = key.baseAddress {
      unsafe Self.copyKey(from: source, to: out, key.count)
      unsafe out += key.count
    }
    if count & (Self.markInterval - 1) == 0 { marks.append(UInt32(truncatingIfNeeded: used)) }
    used += size
    count += 1
    lastArrival = arrival
    return unsafe out
  }

  /// Most keys are short: calling for them takes longer than copying.
  @unsafe
  @inline(__always)
  private static func copyKey(from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, _ count: Int) {
    switch count {
    case 8...16:
      let last = unsafe (source + count - 8).loadUnaligned(as: UInt64.self)
      unsafe target.storeBytes(of: source.loadUnaligned(as: UInt64.self), as: UInt64.self)
      unsafe (target + count - 8).storeBytes(of: last, as: UInt64.self)
    case 4..<8:
      let last = unsafe (source + count - 4).loadUnaligned(as: UInt32.self)
      unsafe target.storeBytes(of: source.loadUnaligned(as: UInt32.self), as: UInt32.self)
      unsafe (target + count - 4).storeBytes(of: last, as: UInt32.self)
    default: unsafe target.copyMemory(from: source, byteCount: count)
    }
  }

  /// Where a record begins among the bytes, and the place of a record at or before it: a walk from one to the other goes
  /// over few headers.
  func mark(before place: Int) -> (place: Int, offset: Int) {
    guard place < count else { return (count, used) }
    let mark = place / Self.markInterval
    return (mark * Self.markInterval, Int(marks[mark]))
  }

  private mutating func grow(by size: Int) {
    unsafe resize(to: max(used + size, memory.count * 2, Self.leastByteCount))
  }

  /// Gives back what is not used, if that is much. What is full keeps it: its memory is soon used again.
  mutating func fit() {
    guard !isFull, unsafe memory.count - used > used / 8 else { return }
    resize(to: used)
  }

  mutating func compress(with compressor: RecordCompressor) {
    guard !isCompressed else { return }
    let plain = unsafe memory
    unsafe compressor.compress(UnsafeRawBufferPointer(rebasing: plain[..<used])) { bytes in
      // In memory of their own: a remainder of what they had would be too small for the next ones.
      unsafe memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
      resize(to: bytes.count)
      unsafe memory.copyMemory(from: bytes)
      unsafe free(plain.baseAddress)
      isCompressed = true
    }
  }

  mutating func expand(with compressor: RecordCompressor) {
    guard isCompressed else { return }
    let compressed = unsafe memory
    unsafe memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    resize(to: used)
    unsafe compressor.expand(UnsafeRawBufferPointer(compressed), into: memory)
    unsafe free(compressed.baseAddress)
    isCompressed = false
  }

  private mutating func resize(to byteCount: Int) {
    guard let resized = unsafe realloc(memory.baseAddress, byteCount) else {
      preconditionFailure("there is no memory for \(byteCount) bytes of records")
    }
    unsafe memory = UnsafeMutableRawBufferPointer(start: resized, count: byteCount)
  }
}
