internal import Locks

/// How far a recording was read.
public struct RecordingStatus: Hashable, Sendable {
  /// Bytes of the file.
  public var byteCount: UInt64 = 0
  /// Behind the last line: how it ended. `nil` before.
  public var ending: RecordingEnding?
  /// Lines that were left out.
  public var skipped: [RecordingProblem] = []

  public init() {}

  public init(_ reader: borrowing RecordingReader) {
    byteCount = reader.byteCount
    ending = reader.ending
    skipped = reader.skipped
  }
}

/// A part of a recording, piece by piece. A reader that owns its file reads it ahead on two threads, some megabytes at
/// most: the one reads the file, the other finds, checks and packs lines while those before them are replayed.
///
/// The pieces and their order are the same either way. Not for several tasks at once.
public final class RecordingFeed {
  public let header: RecordingHeader
  /// As of the piece that was given last.
  public private(set) var status: RecordingStatus
  private var inline: Reading?
  private let ahead: Ahead?

  public init(_ reader: consuming RecordingReader, _ part: RecordingPart) {
    header = reader.header
    status = RecordingStatus(reader)
    let ownsInput = reader.ownsInput
    var reader = reader
    if ownsInput { reader.readAhead() }
    let reading = Reading(RecordingPieces(reader, part))
    // Where the system gives no thread, it is read when it is asked for.
    ahead = ownsInput ? Ahead(reading) : nil
    inline = ahead == nil ? reading : nil
  }

  deinit { ahead?.stop() }

  /// `nil` at the end.
  public func next() throws(RecordingError) -> RecordingPiece? {
    let step = ahead?.next() ?? inline?.step()
    guard let step else { return nil }
    status = step.status
    if let failure = step.failure { throw failure }
    return step.piece
  }

  /// Nobody uses the records any more.
  public func reuse(_ records: PackedRecords) {
    guard !records.isLarge else { return }
    if let ahead { ahead.reuse(records) } else { inline?.reuse([records]) }
  }

  /// A piece, a failure, or neither at the end.
  fileprivate struct Step {
    var piece: RecordingPiece?
    var failure: RecordingError?
    var status: RecordingStatus

    var isLast: Bool { piece == nil }

    var byteCount: Int {
      if case .records(let records, numbers: _)? = piece { return records.byteCount }
      return 0
    }
  }

  /// The reading, by one thread at a time.
  fileprivate final class Reading {
    private var pieces: RecordingPieces
    private static let spareLimit = 64

    init(_ pieces: consuming RecordingPieces) { self.pieces = pieces }

    func step() -> Step {
      do throws(RecordingError) {
        let piece = try pieces.next()
        return Step(piece: piece, failure: nil, status: RecordingStatus(pieces.reader))
      } catch {
        return Step(piece: nil, failure: error, status: RecordingStatus(pieces.reader))
      }
    }

    func reuse(_ records: [PackedRecords]) {
      pieces.spare += records.prefix(max(0, Self.spareLimit - pieces.spare.count))
    }
  }

  /// The thread, and what it has read.
  fileprivate final class Ahead: Sendable {
    private struct State {
      var steps: [Step] = []
      /// Of the steps before it, all were taken.
      var head = 0
      var byteCount = 0
      var spare: [PackedRecords] = []
      var isStopped = false
      var isFull = false
    }

    /// Either the thread waits because there is much, or the other side because there is nothing: never both.
    private let state = Monitor(State())

    /// So many bytes of records are read ahead, and then it waits until half of them are left: waking it costs time.
    private static let byteLimit = 4 << 20

    /// `nil` if the system gives no thread.
    init?(_ reading: Reading) {
      // The reading is that of the thread from here on: its reader owns its file, and nobody else refers to it.
      nonisolated(unsafe) let reading = reading
      guard SystemThread.startDetached(named: "sluice-check", { [self] in unsafe run(reading) }) else { return nil }
    }

    private func run(_ reading: Reading) {
      while true {
        let spare = state.wait(deadline: nil) { state -> [PackedRecords]? in
          if !state.isStopped, state.byteCount > (state.isFull ? Self.byteLimit / 2 : Self.byteLimit) {
            state.isFull = true
            return nil
          }
          state.isFull = false
          defer { state.spare.removeAll(keepingCapacity: true) }
          return state.spare
        }
        if let spare { reading.reuse(spare) }
        let step = reading.step()
        let goesOn = state.withLock { state in
          state.steps.append(step)
          state.byteCount += step.byteCount
          return !state.isStopped && !step.isLast
        }
        state.signal()
        guard goesOn else { return }
      }
    }

    func next() -> Step {
      let found = state.wait(deadline: nil) { state -> (step: Step, wakes: Bool)? in
        guard state.head < state.steps.count else { return nil }
        let step = state.steps[state.head]
        // What is last stays, for whoever asks again.
        guard !step.isLast else { return (step, false) }
        state.head += 1
        if state.head == state.steps.count || state.head > 64 {
          state.steps.removeFirst(state.head)
          state.head = 0
        }
        state.byteCount -= step.byteCount
        return (step, state.isFull && state.byteCount <= Self.byteLimit / 2)
      }
      guard let found else { preconditionFailure("a wait without a deadline ends with a value") }
      if found.wakes { state.signal() }
      return found.step
    }

    func reuse(_ records: PackedRecords) { state.withLock { $0.spare.append(records) } }

    /// Ends the thread when it has read what it reads.
    func stop() {
      state.withLock { $0.isStopped = true }
      state.signal()
    }
  }
}
