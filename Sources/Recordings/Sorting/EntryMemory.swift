internal import Glibc

/// Entries in memory, which are put in order and then not changed any more.
struct EntryMemory: Sendable {
  private var bytes: [UInt8] = []
  private var places: [Place] = []

  private struct Place {
    /// The first eight bytes of the key as a number, which decide most comparisons.
    var beginning: UInt64
    var offset: Int
  }

  /// The memory grows only as it is used.
  init(byteLimit: Int) { bytes.reserveCapacity(byteLimit) }

  var count: Int { places.count }
  /// With what it takes to put them in order.
  var byteCount: Int { bytes.count + places.count * MemoryLayout<Place>.stride }

  mutating func removeAll() {
    bytes.removeAll(keepingCapacity: true)
    places.removeAll(keepingCapacity: true)
  }

  mutating func append(key: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer) {
    var beginning: UInt64 = 0
    for place in 0..<8 { beginning = beginning << 8 | (place < key.count ? unsafe UInt64(key[place]) : 0) }
    places.append(Place(beginning: beginning, offset: bytes.count))
    for count in [key.count, body.count] {
      unsafe withUnsafeBytes(of: UInt32(count)) { unsafe bytes.append(contentsOf: $0) }
    }
    unsafe bytes.append(contentsOf: key)
    unsafe bytes.append(contentsOf: body)
  }

  mutating func sort() {
    unsafe bytes.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      places.sort { left, right in
        if left.beginning != right.beginning { return left.beginning < right.beginning }
        return unsafe SortedEntry(at: base + left.offset).key.precedes(SortedEntry(at: base + right.offset).key)
      }
    }
  }

  func withEntry(
    _ position: Int, _ body: (SortedEntry) throws(RecordingFileError) -> Void
  ) throws(RecordingFileError) {
    unsafe try bytes.lendBytes { (bytes) throws(RecordingFileError) in
      guard let base = bytes.baseAddress else { return }
      unsafe try body(SortedEntry(at: base + places[position].offset))
    }
  }
}

/// Below zero if the first comes before the second, in the order of the bytes.
func compareBytes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
  let count = min(left.count, right.count)
  if count > 0, let left = left.baseAddress, let right = right.baseAddress {
    let order = unsafe memcmp(left, right, count)
    if order != 0 { return Int(order) }
  }
  return left.count - right.count
}
