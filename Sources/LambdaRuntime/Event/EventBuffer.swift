/// Bytes of one event, in memory that is kept for the next one. Grows to the largest event and stays there.
public struct EventBuffer: Sendable {
  // Every byte is initialized, so that growing is the only time the memory is touched twice.
  private var storage: [UInt8] = []
  public private(set) var count = 0

  public init() {}

  /// The event. A copy.
  public var bytes: [UInt8] { Array(storage[..<count]) }

  public mutating func removeAll() { count = 0 }

  /// Takes back the last byte. There must be one.
  mutating func removeLast() { count -= 1 }

  public mutating func append(_ byte: UInt8) {
    if storage.count == count { grow(to: count + 1) }
    storage[count] = byte
    count += 1
  }

  public mutating func append(contentsOf bytes: some Collection<UInt8>) {
    grow(to: count + bytes.count)
    storage.replaceSubrange(count..<(count + bytes.count), with: bytes)
    count += bytes.count
  }

  /// Writes over bytes that are there.
  mutating func overwrite(at position: Int, with bytes: some Collection<UInt8>) {
    precondition(position >= 0 && position + bytes.count <= count, "only what was written is written over")
    storage.replaceSubrange(position..<(position + bytes.count), with: bytes)
  }

  /// Calls `body` with the event's bytes.
  public func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    unsafe try storage.withUnsafeBytes { unsafe try body(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
  }

  /// Appends what `body` writes to the front of at least `capacity` bytes; it returns how many that were.
  mutating func append(capacity: Int, _ body: (UnsafeMutableRawBufferPointer) -> Int) {
    grow(to: count + capacity)
    let start = count
    let written = unsafe storage.withUnsafeMutableBytes {
      unsafe body(UnsafeMutableRawBufferPointer(rebasing: $0[start...]))
    }
    precondition(written >= 0 && written <= capacity, "an event fits in the room made for it")
    count += written
  }

  private mutating func grow(to capacity: Int) {
    guard storage.count < capacity else { return }
    let target = max(capacity, storage.count * 2, 4_096)
    storage.append(contentsOf: repeatElement(0, count: target - storage.count))
  }
}
