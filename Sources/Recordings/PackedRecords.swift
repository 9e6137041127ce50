public import StreamModel

/// Records of one shard that follow one another, packed as ``RecordLayout`` says: what a ``RecordRunBuilder`` takes.
@safe
public final class PackedRecords {
  public private(set) var shard: ShardNumber
  public private(set) var first: RecordIndex
  public private(set) var count = 0
  public private(set) var firstArrival: WallTime
  public private(set) var lastArrival: WallTime
  private var memory: UnsafeMutableRawBufferPointer
  private var used = 0

  /// So many bytes make it full; one record may be larger.
  public static let byteLimit = 256 << 10

  public init(shard: ShardNumber, first: RecordIndex, firstArrival: WallTime) {
    self.shard = shard
    self.first = first
    self.firstArrival = firstArrival
    lastArrival = firstArrival
    unsafe memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  }

  deinit { unsafe memory.deallocate() }

  /// Forgets its records, and takes others into the same memory.
  public func reuse(for shard: ShardNumber, first: RecordIndex, firstArrival: WallTime) {
    self.shard = shard
    self.first = first
    self.firstArrival = firstArrival
    lastArrival = firstArrival
    count = 0
    used = 0
  }

  /// It holds much more memory than most do, because of a large record.
  public var isLarge: Bool { unsafe memory.count > 4 * Self.byteLimit }

  /// The index behind the last record.
  public var end: RecordIndex { first.advanced(by: count) }
  public var byteCount: Int { used }
  public var isFull: Bool { used >= Self.byteLimit }

  /// Whether the record may stand here, behind the others.
  public func takes(_ index: RecordIndex, arrival: WallTime) -> Bool {
    index == end && !isFull
      && arrival.milliseconds - firstArrival.milliseconds <= RecordLayout.greatestArrivalDelta
  }

  /// The packed bytes of all records; valid as long as nothing is appended and this lives.
  @unsafe
  public var bytes: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(rebasing: memory[..<used]) }

  /// Appends a record, and gives the memory for its data: so many bytes, which are to be written at once.
  @unsafe
  @inline(__always)
  func append(
    arrival: WallTime, key: UnsafeRawBufferPointer, hashKey: HashKey?, dataByteCount: Int
  ) -> UnsafeMutableRawPointer {
    let size = RecordLayout.byteCount(
      keyByteCount: key.count, dataByteCount: dataByteCount, hasExplicitHashKey: hashKey != nil)
    if unsafe used + size > memory.count { grow(by: size) }
    var out = unsafe memory.baseAddress.unsafelyUnwrapped + used
    let delta = UInt32(arrival.milliseconds - firstArrival.milliseconds)
    unsafe out.storeBytes(of: delta.littleEndian, as: UInt32.self)
    unsafe out.storeBytes(of: UInt32(dataByteCount).littleEndian, toByteOffset: 4, as: UInt32.self)
    unsafe out.storeBytes(of: UInt16(key.count).littleEndian, toByteOffset: 8, as: UInt16.self)
    unsafe out.storeBytes(of: UInt16(hashKey == nil ? 0 : 1).littleEndian, toByteOffset: 10, as: UInt16.self)
    unsafe out += RecordLayout.headerByteCount
    if let hashKey {
      unsafe out.storeBytes(of: hashKey.rawValue.littleEndian, as: UInt128.self)
      unsafe out += RecordLayout.explicitHashKeyByteCount
    }
    if let source = key.baseAddress {
      unsafe out.copyMemory(from: source, byteCount: key.count)
      unsafe out += key.count
    }
    used += size
    count += 1
    lastArrival = arrival
    return unsafe out
  }

  private func grow(by size: Int) {
    let capacity = unsafe max(used + size, memory.count * 2, 16 << 10)
    let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 16)
    unsafe larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[..<used]))
    unsafe memory.deallocate()
    unsafe memory = larger
  }
}
