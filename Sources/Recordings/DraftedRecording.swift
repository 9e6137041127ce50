/// Makes the text of a recording out of its drafts, on several cores, and hands it out in their order. Needs memory for a
/// few drafts and their text, however long the recording is.
///
/// The text is the same, byte for byte, with any number of threads.
public struct DraftedRecording: ~Copyable {
  let makers: TextMakers
  private let compressor: FrameCompressor?
  private var sheet: TextMakers.Sheet?
  private var hasDraft = true
  private var failure: (any Error)?
  /// What the text came to that was handed out.
  public private(set) var tally = RecordingTally()

  /// `threads` make text besides the one that calls: with none, all of it is made there. `compresses`: what is handed out
  /// are frames of zstd.
  public init(_ header: RecordingHeader, compresses: Bool = false, threads: Int) {
    makers = TextMakers(Redaction(of: header), compresses: compresses, threads: threads)
    compressor = compresses ? FrameCompressor() : nil
  }

  deinit { makers.stop() }

  /// Goes on to the next part. `draft` is asked for what follows, a few parts ahead, and gives `nil` at the end; what it
  /// throws is thrown when all before it was handed out. `false` at the end.
  public mutating func next(_ draft: () throws -> RecordingDraft?) throws -> Bool {
    if let sheet { makers.reuse(sheet) }
    sheet = nil
    while true {
      switch makers.turn(hasDraft: hasDraft) {
      case .give(let free):
        do {
          if let draft = try draft() { makers.give(draft, on: free) } else { hasDraft = false }
        } catch {
          failure = error
          hasDraft = false
        }
      case .make(let given):
        given.makeText(compressor)
        makers.made(given)
      case .take(let made):
        let before = tally
        tally.add(made.text.tally)
        if let shardCount = made.draft.shardCount {
          made.text.end(tally, shardCount: shardCount)
          tally = before
          tally.add(made.text.tally)
          made.compress(compressor)
        }
        sheet = made
        return true
      case .done:
        if let failure { throw failure }
        return false
      }
    }
  }

  /// Hands over the text of the part, or its frames.
  public func take<Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    guard let sheet else { return }
    guard compressor != nil else { return try unsafe sheet.text.withBytes(body) }
    let frames = sheet.frames
    let span = unsafe frames.span.bytes
    try unsafe span.withUnsafeBytes(body)
  }
}
