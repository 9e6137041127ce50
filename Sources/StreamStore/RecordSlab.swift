internal import StreamModel

/// Packed records of one shard on their way from a producer to the writer: a piece of a coming block.
@safe
final class RecordSlab: @unchecked Sendable {
  // Unchecked because of the pointer and the counts: the request that fills the slab is the only one that refers to it,
  // and once it is handed to the store it is only read.
  private var memory: UnsafeMutableRawBufferPointer
  private(set) var byteCount = 0
  private(set) var count = 0
  private(set) var dataByteCount = 0
  private(set) var greatestRecordByteCount = 0

  init(byteCapacity: Int) {
    unsafe memory = .allocate(byteCount: byteCapacity, alignment: 16)
  }

  deinit {
    unsafe memory.deallocate()
  }

  /// The records; valid as long as the slab lives.
  @unsafe
  var packed: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(rebasing: memory[0..<byteCount]) }

  /// Packs a record as ``RecordLayout`` says, with an arrival delta of zero.
  func append(key: UnsafeRawBufferPointer, data: UnsafeRawBufferPointer, explicitHashKey: HashKey?, lineage: Lineage) {
    let size = RecordLayout.byteCount(
      keyByteCount: key.count, dataByteCount: data.count, hasExplicitHashKey: explicitHashKey != nil)
    reserve(size)
    let record = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[byteCount..<(byteCount + size)])
    unsafe record.storeBytes(of: 0, as: UInt32.self)
    unsafe record.storeBytes(of: UInt32(data.count).littleEndian, toByteOffset: 4, as: UInt32.self)
    unsafe record.storeBytes(of: UInt16(key.count).littleEndian, toByteOffset: 8, as: UInt16.self)
    let flags = RecordLayout.flags(hasExplicitHashKey: explicitHashKey != nil, lineage)
    unsafe record.storeBytes(of: flags.littleEndian, toByteOffset: 10, as: UInt16.self)
    var offset = RecordLayout.headerByteCount
    if let explicitHashKey {
      unsafe record.storeBytes(of: explicitHashKey.rawValue.littleEndian, toByteOffset: offset, as: UInt128.self)
      offset += RecordLayout.explicitHashKeyByteCount
    }
    unsafe UnsafeMutableRawBufferPointer(rebasing: record[offset...]).copyMemory(from: key)
    offset += key.count
    if data.count > 0 { unsafe UnsafeMutableRawBufferPointer(rebasing: record[offset...]).copyMemory(from: data) }
    byteCount += size
    count += 1
    dataByteCount += data.count
    greatestRecordByteCount = max(greatestRecordByteCount, size)
  }

  private func reserve(_ size: Int) {
    guard unsafe byteCount + size > memory.count else { return }
    let larger = unsafe UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(byteCount + size, memory.count * 2), alignment: 16)
    unsafe larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[0..<byteCount]))
    unsafe memory.deallocate()
    unsafe memory = larger
  }
}
