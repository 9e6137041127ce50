internal import LMDB
internal import StreamModel

/// Writes the values of the small tables: little-endian numbers, and texts and bytes behind their length.
struct ByteWriter {
  private(set) var bytes: [UInt8] = []

  mutating func write<Number: FixedWidthInteger>(_ number: Number) {
    var rest = number.littleEndian
    unsafe withUnsafeBytes(of: &rest) { unsafe bytes.append(contentsOf: $0) }
  }

  mutating func write(_ flag: Bool) { write(flag ? UInt8(1) : 0) }

  mutating func write(_ time: WallTime) { write(time.milliseconds) }

  mutating func write(_ index: RecordIndex) { write(index.rawValue) }

  mutating func write(_ text: String) {
    write(UInt32(text.utf8.count))
    bytes.append(contentsOf: text.utf8)
  }

  mutating func write(_ blob: [UInt8]) {
    write(UInt32(blob.count))
    bytes.append(contentsOf: blob)
  }
}

/// Reads them back. Everything beyond the end, and every value that cannot be, is `LMDBError.corrupted`.
struct ByteReader {
  private let bytes: [UInt8]
  private var position = 0
  /// Where the value stands, for the message.
  private let table: SmallTable.Kind
  private let key: Key

  init(_ bytes: [UInt8], at key: Key, in table: SmallTable.Kind) {
    self.bytes = bytes
    self.key = key
    self.table = table
  }

  mutating func read<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) throws(LMDBError) -> Number {
    let size = Number.bitWidth / 8
    guard position + size <= bytes.count else { throw damaged }
    let start = position
    position += size
    return unsafe bytes.withUnsafeBytes {
      unsafe Number(littleEndian: $0.loadUnaligned(fromByteOffset: start, as: Number.self))
    }
  }

  mutating func readFlag() throws(LMDBError) -> Bool { try read(UInt8.self) != 0 }

  mutating func readTime() throws(LMDBError) -> WallTime { WallTime(milliseconds: try read()) }

  mutating func readIndex() throws(LMDBError) -> RecordIndex { RecordIndex(try read()) }

  mutating func readText() throws(LMDBError) -> String { String(decoding: try readBytes(), as: UTF8.self) }

  mutating func readBytes() throws(LMDBError) -> [UInt8] {
    let size = Int(try read(UInt32.self))
    guard position + size <= bytes.count else { throw damaged }
    defer { position += size }
    return Array(bytes[position..<(position + size)])
  }

  var isAtEnd: Bool { position == bytes.count }

  /// A count of things that take at least one byte each.
  mutating func readCount() throws(LMDBError) -> Int {
    let count = Int(try read(UInt32.self))
    guard count <= bytes.count - position else { throw damaged }
    return count
  }

  var damaged: LMDBError { .corrupted("\(table.describe(key)): it is not what such an entry holds") }
}
