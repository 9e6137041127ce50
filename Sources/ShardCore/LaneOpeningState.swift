import StreamModel

extension Lane {
  /// A lane as it was left, or a new one. It has nothing in flight and takes its first step with `goOn`.
  ///
  /// A failing batch waits for what was left of its backoff, by the wall clock, but never longer than the longest
  /// backoff there is: the wall clock may have stepped back while nobody looked.
  init(id: LaneID, opening: LaneOpening, hasUnfinishedParents: Bool, policy: LanePolicy, now: Now) {
    let progress = opening.progress
    self.id = id
    self.phase = .waitingForParents
    self.since = now.monotonic
    self.next = progress.next
    self.head = .open
    self.lostToRetention = progress.lostToRetention
    self.lostToDamage = progress.lostToDamage
    self.isPaused = progress.isPaused
    self.isFinished = progress.isFinished
    self.hasUnfinishedParents = hasUnfinishedParents
    self.finishRevision = progress.isFinished ? 0 : nil
    guard !progress.isFinished else { return }
    pieces = progress.pieces.reversed()
    // What was stored is the world's word: a batch that does not begin at the checkpoint is none.
    if let failing = progress.failing, failing.extent.first == progress.next, failing.extent.count >= 1 {
      head = .failing(failing)
      let longest = policy.longestBackoffMilliseconds
      let (left, overflow) = failing.retryAt.milliseconds.subtractingReportingOverflow(now.wall.milliseconds)
      let wait = overflow ? longest : max(0, min(left, longest))
      retryDue = now.monotonic.adding(milliseconds: wait)
    } else if let piece = pieces.popLast() {
      head = .cut(count: piece)
    }
  }
}
