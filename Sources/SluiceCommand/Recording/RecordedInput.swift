import Recordings

/// A stream of a store as a recording that is made while it is read, and stands nowhere.
final class RecordedInput {
  private var recorder: StreamRecorder
  private var recording: DraftedRecording
  private var isAtEnd = false
  private var waiting: [UInt8] = []
  private var taken = 0

  init(_ recorder: consuming StreamRecorder) {
    // What reads it checks it on the other core.
    recording = DraftedRecording(recorder.header, threads: 0)
    self.recorder = recorder
  }

  /// Records that could not be read.
  var missing: UInt64 { recorder.report.missing }

  /// Fills the front of the memory; 0 at the end.
  func read(into memory: UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int {
    while taken == waiting.count, !isAtEnd {
      do {
        isAtEnd = try !recording.next { try recorder.step() }
      } catch {
        throw RecordingFileError(path: "the store", reason: "\(error)")
      }
      waiting.removeAll(keepingCapacity: true)
      taken = 0
      recording.take { waiting.append(contentsOf: $0) }
    }
    let count = min(memory.count, waiting.count - taken)
    waiting.withUnsafeBytes { memory.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[taken..<taken + count])) }
    taken += count
    return count
  }
}
