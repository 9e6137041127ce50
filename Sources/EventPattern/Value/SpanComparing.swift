extension RawSpan {
  /// The byte at `offset`, which lies inside.
  @inline(__always)
  func byte(_ offset: Int) -> UInt8 {
    unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
  }

  /// The bytes are those of `other`.
  @inline(__always)
  func isEqual(to other: [UInt8]) -> Bool {
    byteCount == other.count && holds(other, at: 0)
  }

  /// `other` stands at `offset`, all of it.
  @inline(__always)
  func holds(_ other: [UInt8], at offset: Int) -> Bool {
    guard offset >= 0, offset &+ other.count <= byteCount else { return false }
    for position in 0..<other.count where byte(offset &+ position) != other[position] { return false }
    return true
  }

  @inline(__always)
  func hasPrefix(_ other: [UInt8]) -> Bool { holds(other, at: 0) }

  @inline(__always)
  func hasSuffix(_ other: [UInt8]) -> Bool { holds(other, at: byteCount &- other.count) }
}
