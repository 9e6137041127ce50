import Foundation
import Recordings

/// Writes what a recorder reads into a file, on several cores.
struct RecordingRun: ~Copyable {
  private var recorder: StreamRecorder
  private var recording: DraftedRecording

  /// Threads that make text besides the one that reads the store and writes the file, which makes some too: more of them
  /// would wait for that one.
  private static let threads = min(ProcessInfo.processInfo.activeProcessorCount - 1, 3)

  /// `path`: where it will stand, which says whether it is compressed.
  init(_ recorder: consuming StreamRecorder, at path: String) {
    recording = DraftedRecording(
      recorder.header, compresses: RecordingOutput.isCompressed(at: path), threads: Self.threads)
    self.recorder = recorder
  }

  /// Writes some records; `false` when all are written, and the end of the recording.
  mutating func step(to file: inout RecordingOutput) throws -> Bool {
    guard try recording.next({ try recorder.step() }) else { return false }
    try recording.take { (bytes) throws(RecordingFileError) in try file.write(made: bytes) }
    return true
  }

  func progress(since begun: ContinuousClock.Instant) -> String {
    recorder.progress(recording.tally.recordCount, since: begun)
  }

  /// What was written.
  var report: RecordingReport { recorder.report(recording.tally) }
}
