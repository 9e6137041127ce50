import StreamModel

/// Which of a lane's progress is durable, under way or waiting.
///
/// One write at a time: newer progress waits and goes, as the newest only, when the write under way has ended.
struct ProgressWriter: Hashable {
  /// The newest progress: counts up with every change, from 1.
  private(set) var revision: UInt64 = 0
  private(set) var storedRevision: UInt64 = 0
  private(set) var revisionUnderWay: UInt64?
  /// After a refusal: when to try again.
  private(set) var retryDue: MonotonicTime?
  /// Batches settled that the write under way makes durable.
  private var batchesUnderWay = 0
  /// Batches settled that no write covers yet.
  private var batchesWaiting = 0

  var unstoredBatches: Int { batchesUnderWay + batchesWaiting }
  var isSettled: Bool { storedRevision == revision }

  mutating func change(settlingBatch: Bool) {
    revision += 1
    if settlingBatch { batchesWaiting += 1 }
  }

  /// The revision to store now, or `nil` if there is nothing new, or a write is under way, or it is too early.
  mutating func begin(at now: MonotonicTime) -> UInt64? {
    guard revisionUnderWay == nil, storedRevision < revision else { return nil }
    if let retryDue, retryDue > now { return nil }
    retryDue = nil
    revisionUnderWay = revision
    batchesUnderWay = batchesWaiting
    batchesWaiting = 0
    return revision
  }

  /// `false` for a late or repeated answer, which changes nothing.
  mutating func stored(revision: UInt64) -> Bool {
    guard revisionUnderWay == revision else { return false }
    revisionUnderWay = nil
    storedRevision = revision
    batchesUnderWay = 0
    return true
  }

  /// The next try has a revision of its own, so that a repeated answer to this one is recognised.
  mutating func refused(revision: UInt64, retryAt due: MonotonicTime) {
    guard revisionUnderWay == revision else { return }
    revisionUnderWay = nil
    batchesWaiting += batchesUnderWay
    batchesUnderWay = 0
    self.revision += 1
    retryDue = due
  }
}
