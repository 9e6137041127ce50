/// A key of at most 32 bytes, held in place: numbers in big-endian order, so that the order of bytes is the order of
/// the numbers.
public struct Key: Sendable, Hashable, Comparable {
  /// The bytes from the most significant end of four words; the rest is zero.
  private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
  /// 0 ... 32. LMDB refuses an empty key.
  public private(set) var count = 0

  public static let greatestByteCount = 32

  public init() {}

  public init(_ number: UInt32) { append(number) }

  public init(_ number: UInt64) { append(number) }

  public init(_ first: UInt32, _ second: UInt32) {
    append(first)
    append(second)
  }

  public init(_ first: UInt32, _ second: UInt32, _ third: UInt32) {
    self.init(first, second)
    append(third)
  }

  public init(_ first: UInt32, _ second: UInt32, _ third: UInt64) {
    self.init(first, second)
    append(third)
  }

  /// The UTF-8 bytes of a short name, 1 ... 32 of them.
  public init(_ name: StaticString) {
    unsafe self.init(UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
  }

  init(_ bytes: UnsafeRawBufferPointer) {
    precondition(bytes.count <= Self.greatestByteCount, "a key of the store has at most 32 bytes")
    unsafe withUnsafeMutableBytes(of: &words) { unsafe $0.copyMemory(from: bytes) }
    count = bytes.count
  }

  /// Appends the bytes of `number`, the most significant first.
  public mutating func append<Number: FixedWidthInteger>(_ number: Number) {
    let size = Number.bitWidth / 8
    precondition(count + size <= Self.greatestByteCount, "a key of the store has at most 32 bytes")
    let start = count
    unsafe withUnsafeMutableBytes(of: &words) {
      unsafe $0.storeBytes(of: number.bigEndian, toByteOffset: start, as: Number.self)
    }
    count += size
  }

  /// The number whose bytes begin at `position`.
  public func number<Number: FixedWidthInteger>(at position: Int, as type: Number.Type = Number.self) -> Number {
    precondition(position >= 0 && position + Number.bitWidth / 8 <= count, "a key is read inside its bytes")
    return unsafe withUnsafeBytes(of: words) {
      unsafe Number(bigEndian: $0.loadUnaligned(fromByteOffset: position, as: Number.self))
    }
  }

  /// Calls `body` with the bytes, which live as long as the call.
  @inline(__always)
  public func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    var copy = words
    let count = count
    return try unsafe withUnsafeMutableBytes(of: &copy) { bytes throws(Failure) in
      try unsafe body(UnsafeRawBufferPointer(rebasing: bytes[0..<count]))
    }
  }

  public static func == (left: Key, right: Key) -> Bool {
    left.count == right.count && left.words == right.words
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.1)
    hasher.combine(words.2)
    hasher.combine(words.3)
    hasher.combine(count)
  }

  public static func < (left: Key, right: Key) -> Bool {
    let (a, b) = (left.words, right.words)
    if a.0 != b.0 { return a.0.bigEndian < b.0.bigEndian }
    if a.1 != b.1 { return a.1.bigEndian < b.1.bigEndian }
    if a.2 != b.2 { return a.2.bigEndian < b.2.bigEndian }
    if a.3 != b.3 { return a.3.bigEndian < b.3.bigEndian }
    return left.count < right.count
  }
}
