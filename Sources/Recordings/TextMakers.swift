internal import Locks

/// Makes text of the drafts of a recording on threads of its own, and hands it out in the order of the drafts. Whoever
/// gives the drafts makes text too where it would wait otherwise: so one thread more than there are cores never waits for
/// another.
final class TextMakers: Sendable {
  /// A draft and the text that it becomes, by one thread at a time.
  final class Sheet {
    fileprivate(set) var draft = RecordingDraft()
    var text: RecordingText
    /// The text, compressed, where that is wanted.
    private(set) var frames: [UInt8] = []

    fileprivate init(_ redaction: Redaction?) { text = RecordingText(redaction) }

    /// The last line of the recording is still to come behind the last draft: its text is compressed with it.
    func makeText(_ compressor: FrameCompressor?) {
      text.append(draft)
      if draft.shardCount == nil { compress(compressor) }
    }

    func compress(_ compressor: FrameCompressor?) {
      guard let compressor else { return }
      unsafe text.withBytes { bytes in
        unsafe compressor.compress(bytes) { frame in unsafe frames.append(contentsOf: frame) }
      }
    }

    fileprivate func removeAll() {
      draft = RecordingDraft()
      text.removeAll()
      frames.removeAll(keepingCapacity: true)
    }
  }

  /// What whoever gives the drafts does next.
  enum Turn {
    /// Give a draft on this sheet.
    case give(Sheet)
    /// Take this text, which is the next one.
    case take(Sheet)
    /// Make this text.
    case make(Sheet)
    /// All that was given is taken.
    case done
  }

  fileprivate struct State {
    /// In the order of the drafts.
    var sheets: [(sheet: Sheet, isMade: Bool)] = []
    /// So many of them from the first on are made, or somebody is at it.
    var begunCount = 0
    var spare: [Sheet]
    var threads: [SystemThread] = []
    var isStopped = false
  }

  private let state: Monitor<State>
  private let compresses: Bool

  /// Sheets for each thread that makes text, and one that is written meanwhile.
  private static let sheetsForEach = 3

  /// As many threads as the system gives, up to `threads`: none is fine.
  init(_ redaction: Redaction?, compresses: Bool, threads: Int) {
    self.compresses = compresses
    let count = threads == 0 ? 1 : (threads + 1) * Self.sheetsForEach
    state = Monitor(State(spare: (0..<count).map { _ in Sheet(redaction) }))
    for _ in 0..<threads {
      do throws(SystemThread.Refusal) {
        let thread = try SystemThread(named: "sluice-text") { [self] in run() }
        state.withLock { $0.threads.append(thread) }
      } catch {
        // What is there is enough.
        return
      }
    }
  }

  /// Ends the threads, and waits until they have made the text that they are at. Once.
  func stop() {
    let threads = state.withLock { state in
      state.isStopped = true
      return state.threads
    }
    state.signalAll()
    for thread in threads { thread.join() }
  }

  private func run() {
    let compressor = compresses ? FrameCompressor() : nil
    while true {
      let sheet = state.wait(deadline: nil) { state -> Sheet?? in
        state.isStopped ? .some(nil) : state.begin().map { .some($0) }
      }
      guard case .some(.some(let sheet)) = sheet else { return }
      sheet.makeText(compressor)
      made(sheet)
    }
  }

  /// The next turn. `hasDraft`: there is another draft to give. Waits only if every text that is not made is being made.
  func turn(hasDraft: Bool) -> Turn {
    let turn = state.wait(deadline: nil) { state -> Turn? in
      let isIdle = state.begunCount == state.sheets.count
      if hasDraft, isIdle, let sheet = state.spare.popLast() { return .give(sheet) }
      if let first = state.sheets.first, first.isMade {
        state.sheets.removeFirst()
        state.begunCount -= 1
        return .take(first.sheet)
      }
      if hasDraft, let sheet = state.spare.popLast() { return .give(sheet) }
      if let sheet = state.begin() { return .make(sheet) }
      return state.sheets.isEmpty ? .done : nil
    }
    guard let turn else { preconditionFailure("a wait without a deadline ends with a value") }
    return turn
  }

  /// The draft behind those given before.
  func give(_ draft: RecordingDraft, on sheet: Sheet) {
    sheet.draft = draft
    state.withLock { $0.sheets.append((sheet, isMade: false)) }
    state.signal()
  }

  /// The text of the sheet is made.
  func made(_ sheet: Sheet) {
    state.withLock { state in
      guard let place = state.sheets.firstIndex(where: { $0.sheet === sheet }) else { return }
      state.sheets[place].isMade = true
    }
    state.signalAll()
  }

  /// Nobody needs what stands on it.
  func reuse(_ sheet: Sheet) {
    sheet.removeAll()
    state.withLock { $0.spare.append(sheet) }
  }
}

extension TextMakers.State {
  /// The first one that nobody has begun.
  fileprivate mutating func begin() -> TextMakers.Sheet? {
    guard begunCount < sheets.count else { return nil }
    defer { begunCount += 1 }
    return sheets[begunCount].sheet
  }
}
