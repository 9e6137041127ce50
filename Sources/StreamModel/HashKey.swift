/// A place in the hash key space 0 … 2^128−1. A record goes to the open shard whose range holds its hash key.
public struct HashKey: Hashable, Comparable, Sendable, CustomStringConvertible {
  public var rawValue: UInt128

  public init(_ rawValue: UInt128) {
    self.rawValue = rawValue
  }

  /// The hash key of a partition key: the MD5 of its UTF-8 bytes, read as a big-endian number.
  public init(partitionKey: String) {
    var key = partitionKey
    self = key.withUTF8 { unsafe HashKey(partitionKeyBytes: UnsafeRawBufferPointer($0)) }
  }

  /// The same for bytes that hold the key in UTF-8.
  public init(partitionKeyBytes bytes: UnsafeRawBufferPointer) {
    unsafe self.rawValue = MD5.digest(of: bytes)
  }

  /// Reads a decimal number, as AWS writes hash keys; `nil` for anything else or beyond 2^128−1.
  public init?(decimal text: some StringProtocol) {
    guard !text.isEmpty, text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let value = UInt128(text) else { return nil }
    self.rawValue = value
  }

  public static func < (left: HashKey, right: HashKey) -> Bool { left.rawValue < right.rawValue }

  public var description: String { String(rawValue) }
}

/// A closed range of hash keys, owned by one shard.
public struct HashKeyRange: Hashable, Sendable {
  /// The first key, and the last, which belongs to the range.
  public var first: HashKey
  public var last: HashKey

  public init(first: HashKey, last: HashKey) {
    precondition(first <= last, "a hash key range is not empty and runs upward")
    self.first = first
    self.last = last
  }

  /// The whole space.
  public static let all = HashKeyRange(first: HashKey(0), last: HashKey(.max))

  public func contains(_ key: HashKey) -> Bool { first <= key && key <= last }

  /// Whether `next` begins right behind this range, so that the two can be merged.
  public func isFollowed(by next: HashKeyRange) -> Bool {
    last.rawValue != .max && last.rawValue + 1 == next.first.rawValue
  }

  /// The space cut into `count` equal ranges as AWS cuts it: each ⌊2^128 / count⌋ wide, the last one takes the rest.
  public static func evenly(_ count: Int) -> [HashKeyRange] {
    precondition(count > 0, "a stream has at least one shard")
    guard count > 1 else { return [.all] }
    let divisor = UInt128(count)
    // 2^128 does not fit: divide 2^128−1 and add the one back where it completes a whole step.
    let (quotient, remainder) = UInt128.max.quotientAndRemainder(dividingBy: divisor)
    let width = remainder == divisor - 1 ? quotient + 1 : quotient
    return (0..<count).map { position in
      let first = UInt128(position) * width
      return HashKeyRange(
        first: HashKey(first), last: HashKey(position == count - 1 ? .max : first + width - 1))
    }
  }
}
