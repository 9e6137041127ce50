public import StreamModel

/// Says what stands in a recording, line after line, and makes text of none of it: see ``RecordingDraft``.
public struct RecordingOutline {
  public let header: RecordingHeader
  private var draft = RecordingDraft()
  private var shards: [ShardNumber: ShardText] = [:]
  private var last: ShardText?

  /// Of a record's line without its key and payload: about.
  private static let lineByteCount = 170

  public init(_ header: RecordingHeader) {
    self.header = header
    append(header.line)
  }

  /// Of text that waits to be taken: about.
  public var byteCount: Int { draft.byteCount }

  /// Hands over what was said since the last time.
  public mutating func take() -> RecordingDraft {
    let taken = draft
    draft = RecordingDraft()
    draft.parts.reserveCapacity(taken.parts.count)
    return taken
  }

  public mutating func shardOpened(_ shard: RecordedShard) {
    shards[shard.shard] = ShardText(shard)
    last = nil
    append(shard.line)
  }

  public mutating func shardClosed(_ closing: RecordedClosing) { append(closing.line) }

  /// Records that were there and could not be had.
  public mutating func missing(_ range: RecordRange, of shard: ShardNumber) {
    append(#"{"missing":\#(shard.rawValue),"first":\#(range.first.rawValue),"count":\#(range.count)"#)
  }

  /// What became of records, in a recording whose header says that it holds it.
  public mutating func outcome(_ outcome: RecordedOutcome) {
    precondition(header.outcomes != nil, "the header says whose outcomes they are")
    append(outcome.line(isRedacted: header.isRedacted))
  }

  /// Where a lane stood.
  public mutating func checkpoint(_ checkpoint: RecordedCheckpoint) {
    precondition(header.outcomes != nil, "the header says whose checkpoints they are")
    append(checkpoint.line)
  }

  /// Records of a shard that was opened: those at `positions` of `run`. The run must not change any more.
  public mutating func records(at positions: Range<Int>, of run: RecordRun, shard: ShardNumber) {
    draft.parts.append(.records(run, positions, of: text(of: shard)))
    unsafe draft.byteCount += run.packedBytes(positions).count + positions.count * Self.lineByteCount
  }

  /// Of text that the record at `position` of `run` becomes: about.
  public static func byteCount(at position: Int, of run: RecordRun) -> Int {
    lineByteCount + run.packedByteCount(at: position)
  }

  /// Nothing follows but the last line.
  public mutating func end() { draft.shardCount = shards.count }

  mutating func text(of shard: ShardNumber) -> ShardText {
    if let last, last.shard == shard { return last }
    guard let text = shards[shard] else { preconditionFailure("a shard is opened before its records") }
    last = text
    return text
  }

  private mutating func append(_ line: String) {
    draft.parts.append(.line(line))
    draft.byteCount += line.utf8.count + LineCheck.suffixByteCount + 1
  }
}

// MARK: Lines without their checks and closing braces

extension RecordingHeader {
  fileprivate var line: String {
    var text = #"{"recording":\#(version),"stream":\#(JSONLine.quoted(stream))"#
    text += #","kind":"\#(kind.rawValue)","streamCreatedAt":\#(streamCreatedAt.milliseconds)"#
    text += #","madeAt":\#(madeAt.milliseconds)"#
    if let from { text += #","from":\#(from.milliseconds)"# }
    if let to { text += #","to":\#(to.milliseconds)"# }
    if !redacted.isEmpty {
      text += #","redacted":[\#(redacted.map(JSONLine.quoted).joined(separator: ","))]"#
    }
    if keys != .plain { text += #","keys":"\#(keys.rawValue)""# }
    if let imported { text += #","imported":\#(JSONLine.quoted(imported))"# }
    if let outcomes {
      text += #","mapping":\#(JSONLine.quoted(outcomes.mapping)),"outcomesAt":\#(outcomes.at.milliseconds)"#
    }
    return text
  }
}

extension RecordedShard {
  fileprivate var line: String {
    #"{"shardOpened":\#(shard.rawValue),"at":\#(createdAt.milliseconds)"#
      + #","createdAtSeconds":\#(createdAtSeconds),"hashKeys":["\#(hashKeys.first)","\#(hashKeys.last)"]"#
      + #","parents":[\#(parents.map { "\($0.rawValue)" }.joined(separator: ","))],"first":\#(first.rawValue)"#
  }
}

extension RecordedClosing {
  fileprivate var line: String {
    #"{"shardClosed":\#(shard.rawValue),"at":\#(closedAt.milliseconds),"end":\#(end.rawValue)"#
  }
}
