internal import CXXHash
internal import StreamModel

/// The head of a block: what a reader wants to know of its records before it touches them. 56 bytes, little-endian.
///
///     0  checksum                 UInt64   XXH3 over all that follows, seeded with the block's key
///     8  format                   UInt8    1
///     9  (zero)                   3 bytes
///     12 count                    UInt32   1 or more
///     16 firstIndex               UInt64
///     24 firstArrival             Int64    milliseconds
///     32 lastArrival              Int64    milliseconds, not before firstArrival
///     40 packedByteCount          UInt32   bytes of the records behind the head
///     44 greatestRecordByteCount  UInt32   of one packed record
///     48 dataByteCount            UInt64   data of all records, without keys
struct BlockHeader: Hashable {
  static let byteCount = 56
  static let format: UInt8 = 1

  var count: Int
  var firstIndex: RecordIndex
  var firstArrival: WallTime
  var lastArrival: WallTime
  var packedByteCount: Int
  var greatestRecordByteCount: Int
  var dataByteCount: Int

  /// The index behind the last record.
  var endIndex: RecordIndex { firstIndex.advanced(by: count) }

  /// Writes everything but the checksum to the front of `block`.
  func write(to block: UnsafeMutableRawBufferPointer) {
    unsafe block.storeBytes(of: UInt32(Self.format).littleEndian, toByteOffset: 8, as: UInt32.self)
    unsafe block.storeBytes(of: UInt32(count).littleEndian, toByteOffset: 12, as: UInt32.self)
    unsafe block.storeBytes(of: firstIndex.rawValue.littleEndian, toByteOffset: 16, as: UInt64.self)
    unsafe block.storeBytes(of: firstArrival.milliseconds.littleEndian, toByteOffset: 24, as: Int64.self)
    unsafe block.storeBytes(of: lastArrival.milliseconds.littleEndian, toByteOffset: 32, as: Int64.self)
    unsafe block.storeBytes(of: UInt32(packedByteCount).littleEndian, toByteOffset: 40, as: UInt32.self)
    unsafe block.storeBytes(of: UInt32(greatestRecordByteCount).littleEndian, toByteOffset: 44, as: UInt32.self)
    unsafe block.storeBytes(of: UInt64(dataByteCount).littleEndian, toByteOffset: 48, as: UInt64.self)
  }

  /// Computes the checksum of a finished block and writes it to its front.
  static func seal(_ block: UnsafeMutableRawBufferPointer, address: ShardAddress, firstIndex: RecordIndex) {
    let checksum = unsafe checksum(of: UnsafeRawBufferPointer(block), address: address, firstIndex: firstIndex)
    unsafe block.storeBytes(of: checksum.littleEndian, as: UInt64.self)
  }

  /// Reads the head without looking at the records or the checksum; `nil` if it cannot be the head of the block that
  /// this key names.
  init?(reading block: UnsafeRawBufferPointer, firstIndex expected: RecordIndex) {
    guard block.count > Self.byteCount,
      unsafe UInt32(littleEndian: block.loadUnaligned(fromByteOffset: 8, as: UInt32.self)) == UInt32(Self.format)
    else { return nil }
    unsafe count = Int(UInt32(littleEndian: block.loadUnaligned(fromByteOffset: 12, as: UInt32.self)))
    unsafe firstIndex = RecordIndex(UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 16, as: UInt64.self)))
    unsafe firstArrival = WallTime(
      milliseconds: Int64(littleEndian: block.loadUnaligned(fromByteOffset: 24, as: Int64.self)))
    unsafe lastArrival = WallTime(
      milliseconds: Int64(littleEndian: block.loadUnaligned(fromByteOffset: 32, as: Int64.self)))
    unsafe packedByteCount = Int(UInt32(littleEndian: block.loadUnaligned(fromByteOffset: 40, as: UInt32.self)))
    unsafe greatestRecordByteCount = Int(
      UInt32(littleEndian: block.loadUnaligned(fromByteOffset: 44, as: UInt32.self)))
    let dataBytes = unsafe UInt64(littleEndian: block.loadUnaligned(fromByteOffset: 48, as: UInt64.self))
    guard firstIndex == expected, count > 0, packedByteCount == block.count - Self.byteCount,
      count <= packedByteCount / RecordLayout.headerByteCount, dataBytes <= UInt64(packedByteCount),
      lastArrival >= firstArrival, greatestRecordByteCount <= packedByteCount
    else { return nil }
    dataByteCount = Int(dataBytes)
  }

  /// Reads the head and verifies the whole block; `nil` if one bit of it, or its place, is not what was written.
  init?(verifying block: UnsafeRawBufferPointer, address: ShardAddress, firstIndex: RecordIndex) {
    guard unsafe Self(reading: block, firstIndex: firstIndex) != nil else { return nil }
    let stored = unsafe UInt64(littleEndian: block.loadUnaligned(as: UInt64.self))
    guard unsafe Self.checksum(of: block, address: address, firstIndex: firstIndex) == stored else { return nil }
    unsafe self.init(reading: block, firstIndex: firstIndex)
  }

  init(
    count: Int, firstIndex: RecordIndex, firstArrival: WallTime, lastArrival: WallTime, packedByteCount: Int,
    greatestRecordByteCount: Int, dataByteCount: Int
  ) {
    self.count = count
    self.firstIndex = firstIndex
    self.firstArrival = firstArrival
    self.lastArrival = lastArrival
    self.packedByteCount = packedByteCount
    self.greatestRecordByteCount = greatestRecordByteCount
    self.dataByteCount = dataByteCount
  }

  /// The seed comes from the key, so that an intact block in a wrong place is found too.
  private static func checksum(
    of block: UnsafeRawBufferPointer, address: ShardAddress, firstIndex: RecordIndex
  ) -> UInt64 {
    let place = UInt64(address.stream.rawValue) << 32 | UInt64(address.shard.rawValue)
    let seed = (place &* 0x9e37_79b9_7f4a_7c15) ^ (firstIndex.rawValue &* 0xc2b2_ae3d_27d4_eb4f)
    let covered = unsafe UnsafeRawBufferPointer(rebasing: block[8...])
    return unsafe sluice_xxh3(covered.baseAddress, covered.count, seed)
  }
}
