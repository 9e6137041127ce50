internal import StreamModel

/// Writes the lines of a recording into memory, which whoever calls it takes away from time to time.
///
/// ``DraftedRecording`` does the same on several cores.
public struct RecordingWriter: ~Copyable {
  /// What stands in it: what is said there is text when it is taken.
  public var outline: RecordingOutline
  private var text: RecordingText

  public init(_ header: RecordingHeader) {
    outline = RecordingOutline(header)
    text = RecordingText(Redaction(of: header))
  }

  /// What was written so far, also what was taken away.
  public var tally: RecordingTally { text.tally }

  /// The bytes that wait to be taken: of what is not text yet, about.
  public var byteCount: Int { text.byteCount + outline.byteCount }

  /// Hands over what was written since the last time, and forgets it unless `body` throws.
  public mutating func take<Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    write()
    try unsafe text.withBytes(body)
    text.removeText()
  }

  /// An imported record of a shard that was opened.
  mutating func record(_ record: GatheredRecord, arrival: WallTime, index: RecordIndex) {
    if outline.byteCount > 0 { write() }
    text.append(record, of: outline.text(of: record.shard), arrival: arrival, index: index)
  }

  private mutating func write() {
    let draft = outline.take()
    text.append(draft)
    if let shardCount = draft.shardCount { text.end(text.tally, shardCount: shardCount) }
  }
}
