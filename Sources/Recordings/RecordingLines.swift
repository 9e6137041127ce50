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

  public init(stream: String, kind: StreamKind, streamCreatedAt: WallTime, madeAt: WallTime) {
    self.stream = stream
    self.kind = kind
    self.streamCreatedAt = streamCreatedAt
    self.madeAt = madeAt
  }
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
  static let prefix = Array(#","check":""#.utf8)

  static func text(_ check: UInt32) -> String {
    let digits = String(check, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}

extension UInt64 {
  /// Sixteen hexadecimal digits.
  var sixteenDigits: String {
    let digits = String(self, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
