internal import Glibc
public import StreamModel

/// The first line of a recording: see docs/recordings.md, which is the specification of the format.
public struct RecordingHeader: Hashable, Sendable {
  public var stream: String
  public var kind: StreamKind
  public var streamCreatedAt: WallTime
  /// When the recording was begun.
  public var madeAt: WallTime
  /// The bounds that were asked for.
  public var from: WallTime?
  public var to: WallTime?
  /// Fields whose values were taken out of the payloads.
  public var redacted: [String] = []
  /// What partition keys became.
  public var keys = RecordedKeys.plain
  /// For who writes it, and never written: recordings with the same secret have the same pseudonyms. `nil`: one that nobody
  /// knows.
  public var keySecret: [UInt8]?
  /// The format of the files that it was imported from; `nil` if it was recorded. Sequence numbers of an imported
  /// recording are those of the files, if they had any.
  public var imported: String?

  /// What the mapping is called whose outcomes stand in the recording, and when the store was asked for its checkpoints;
  /// `nil` if there are none.
  public var outcomes: Outcomes?

  public struct Outcomes: Hashable, Sendable {
    public var mapping: String
    public var at: WallTime

    public init(of mapping: String, at moment: WallTime) {
      self.mapping = mapping
      at = moment
    }
  }

  /// Of a recording with outcomes it is 2: programs that know nothing of them refuse it.
  public static let versions: ClosedRange<Int64> = 1...2

  public var version: Int64 { outcomes == nil ? 1 : 2 }

  /// Something was taken out: then what handlers said is too, because it may quote it.
  public var isRedacted: Bool { !redacted.isEmpty || keys == .pseudonyms }

  public init(stream: String, kind: StreamKind, streamCreatedAt: WallTime, madeAt: WallTime) {
    self.stream = stream
    self.kind = kind
    self.streamCreatedAt = streamCreatedAt
    self.madeAt = madeAt
  }
}

/// Whether partition keys stand in a recording as they are.
public enum RecordedKeys: String, Hashable, Sendable {
  case plain
  /// Each became a hash, the same one wherever it stands, that nobody can tell the key from.
  case pseudonyms
}

/// A shard of a recording.
public struct RecordedShard: Hashable, Sendable {
  public var shard: ShardNumber
  public var createdAt: WallTime
  /// Part of its sequence numbers.
  public var createdAtSeconds: UInt64
  public var hashKeys: HashKeyRange
  public var parents: [ShardNumber]
  /// The first record that the recording can hold of it.
  public var first: RecordIndex

  public init(
    shard: ShardNumber, createdAt: WallTime, createdAtSeconds: UInt64, hashKeys: HashKeyRange,
    parents: [ShardNumber], first: RecordIndex
  ) {
    self.shard = shard
    self.createdAt = createdAt
    self.createdAtSeconds = createdAtSeconds
    self.hashKeys = hashKeys
    self.parents = parents
    self.first = first
  }

  func sequenceNumber(of index: RecordIndex) -> SequenceNumber {
    SequenceNumber(shardCreatedAtSeconds: createdAtSeconds, shard: shard, index: index)
  }
}

/// The end of a shard of a recording.
public struct RecordedClosing: Hashable, Sendable {
  public var shard: ShardNumber
  public var closedAt: WallTime
  /// The index behind the last record.
  public var end: RecordIndex

  public init(shard: ShardNumber, closedAt: WallTime, end: RecordIndex) {
    self.shard = shard
    self.closedAt = closedAt
    self.end = end
  }
}

/// The check of a line, and what runs over those of all lines.
enum LineCheck {
  static let factor: UInt64 = 0x9E37_79B1_85EB_CA87
  /// `,"check":"` eight digits `"}`
  static let suffixByteCount = 20
  /// `,"check":"`
  static let prefixByteCount = 10

  /// Whether a check stands here, in so many bytes.
  @inline(__always)
  static func isSuffix(_ address: UnsafeRawPointer) -> Bool {
    let prefix: StaticString = #","check":""#
    let end: StaticString = #""}"#
    return unsafe memcmp(address, prefix.utf8Start, prefixByteCount) == 0
      && memcmp(address + prefixByteCount + 8, end.utf8Start, 2) == 0
  }

  /// The eight hexadecimal digits of a check, in lower case, the first one highest.
  @inline(__always)
  static func digits(_ check: UInt32) -> UInt64 {
    // Sixteen, eight, four bits apart: then each byte holds one digit's value.
    var value = UInt64(check)
    value = (value & 0xffff_0000) << 16 | value & 0xffff
    value = (value << 8) & 0x00ff_0000_00ff_0000 | value & 0x0000_00ff_0000_00ff
    value = (value << 4) & 0x0f00_0f00_0f00_0f00 | value & 0x000f_000f_000f_000f
    // Those of ten and more stand at "a", which is 39 behind "9" + 1.
    let letters = (value &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
    return value &+ 0x3030_3030_3030_3030 &+ letters &* 39
  }

  /// Whether these are the digits of the check.
  @inline(__always)
  static func has(_ check: UInt32, at address: UnsafeRawPointer) -> Bool {
    unsafe UInt64(bigEndian: address.loadUnaligned(as: UInt64.self)) == digits(check)
  }

  /// Eight hexadecimal digits in lower case; `nil` if they are not.
  static func digits(at address: UnsafeRawPointer) -> UInt32? {
    var value: UInt32 = 0
    for place in 0..<8 {
      let byte = unsafe address.load(fromByteOffset: place, as: UInt8.self)
      let digit: UInt8
      switch byte {
      case 48...57: digit = byte - 48
      case 97...102: digit = byte - 87
      default: return nil
      }
      value = value << 4 | UInt32(digit)
    }
    return value
  }

  static func text(_ check: UInt32) -> String {
    let digits = String(check, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}

extension UInt64 {
  /// Sixteen hexadecimal digits.
  package var sixteenDigits: String {
    let digits = String(self, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
