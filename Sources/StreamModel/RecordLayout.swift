/// How one record stands in a block of the store, in a slab and in a failure entry: a header of twelve bytes, then the
/// explicit hash key if it has one, the partition key in UTF-8, and the data. Little-endian, without padding.
///
///     0  arrivalDelta    UInt32   milliseconds after the first arrival of its block
///     4  dataByteCount   UInt32
///     8  keyByteCount    UInt16
///     10 flags           UInt16   bit 0: an explicit hash key of 16 bytes follows the header; bits 8 to 15: its ``Lineage``;
///                                 the others are zero
public enum RecordLayout {
  // Computed, and inlinable: asked for with each record.
  @inlinable @inline(__always)
  public static var headerByteCount: Int { 12 }
  @inlinable @inline(__always)
  public static var explicitHashKeyByteCount: Int { 16 }

  /// The greatest distance between two arrivals of one block.
  public static var greatestArrivalDelta: Int64 { Int64(UInt32.max) }

  @inlinable @inline(__always)
  static var hasExplicitHashKey: UInt16 { 1 }

  /// The bytes that a record takes.
  public static func byteCount(keyByteCount: Int, dataByteCount: Int, hasExplicitHashKey: Bool) -> Int {
    headerByteCount + (hasExplicitHashKey ? explicitHashKeyByteCount : 0) + keyByteCount + dataByteCount
  }

  /// Appends one packed record whose arrival is that of its block.
  public static func append(
    partitionKey: UnsafeRawBufferPointer, data: UnsafeRawBufferPointer, explicitHashKey: HashKey?,
    lineage: Lineage = .none, arrivalDelta: UInt32 = 0, to bytes: inout [UInt8]
  ) {
    let flags = flags(hasExplicitHashKey: explicitHashKey != nil, lineage)
    appendLittleEndian(arrivalDelta, to: &bytes)
    appendLittleEndian(UInt32(data.count), to: &bytes)
    appendLittleEndian(UInt16(partitionKey.count), to: &bytes)
    appendLittleEndian(flags, to: &bytes)
    if let explicitHashKey { appendLittleEndian(explicitHashKey.rawValue, to: &bytes) }
    unsafe bytes.append(contentsOf: partitionKey)
    unsafe bytes.append(contentsOf: data)
  }

  /// The flags of a record.
  @inline(__always)
  public static func flags(hasExplicitHashKey: Bool, _ lineage: Lineage) -> UInt16 {
    lineage.flags | (hasExplicitHashKey ? self.hasExplicitHashKey : 0)
  }

  private static func appendLittleEndian(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
    unsafe withUnsafeBytes(of: value.littleEndian) { unsafe bytes.append(contentsOf: $0) }
  }
}

/// The header of a packed record, read from its first byte.
public struct RecordHeader: Sendable {
  public var arrivalDelta: UInt32
  public var dataByteCount: Int
  public var keyByteCount: Int
  @usableFromInline var flags: UInt16

  /// The invocations that the record comes from.
  @inline(__always)
  public var lineage: Lineage { Lineage(flags: flags) }

  @inlinable @inline(__always)
  public var hasExplicitHashKey: Bool { flags & RecordLayout.hasExplicitHashKey != 0 }

  /// From the header's first byte to the partition key's.
  @inlinable @inline(__always)
  public var keyOffset: Int {
    RecordLayout.headerByteCount + (hasExplicitHashKey ? RecordLayout.explicitHashKeyByteCount : 0)
  }

  /// From the header's first byte to the data's.
  @inlinable @inline(__always)
  public var dataOffset: Int { keyOffset + keyByteCount }

  /// The whole record, header included.
  @inlinable @inline(__always)
  public var byteCount: Int { dataOffset + dataByteCount }

  /// Reads the header at `address`, which must have twelve readable bytes.
  @inlinable @inline(__always)
  public init(at address: UnsafeRawPointer) {
    unsafe self.arrivalDelta = UInt32(littleEndian: address.loadUnaligned(as: UInt32.self))
    unsafe self.dataByteCount = Int(
      UInt32(littleEndian: address.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
    unsafe self.keyByteCount = Int(
      UInt16(littleEndian: address.loadUnaligned(fromByteOffset: 8, as: UInt16.self)))
    unsafe self.flags = UInt16(littleEndian: address.loadUnaligned(fromByteOffset: 10, as: UInt16.self))
  }
}
