import StreamModel

extension Lane {
  /// A lane as it was left, or a new one. It has nothing in flight and takes its first step with `goOn`.
  ///
  /// A failing batch waits for what was left of its backoff, by the wall clock, but never longer than the longest
  /// backoff there is: the wall clock may have stepped back while nobody looked.
  init(
    id: LaneID, opening: LaneOpening, hasUnfinishedParents: Bool, policy: LanePolicy, trackCount: Int, now: Now
  ) {
    let progress = opening.progress
    self.id = id
    self.phase = .waitingForParents
    self.since = now.monotonic
    self.next = progress.next
    self.bound = opening.bound
    self.head = .open
    self.lostToRetention = progress.lostToRetention
    self.lostToDamage = progress.lostToDamage
    self.isPaused = progress.isPaused
    self.isFinished = progress.isFinished
    self.hasUnfinishedParents = hasUnfinishedParents
    self.finishRevision = progress.isFinished ? 0 : nil
    guard !progress.isFinished else { return }
    if trackCount > 0 {
      var parked = ParkedKeys()
      for change in progress.parked { parked.restore(change, policy: policy, now: now) }
      tracks = (0..<trackCount).map { KeyTrack(id: LaneID(id.rawValue + 1 + $0)) }
      self.parked = parked
    }
    pieces = progress.pieces.reversed()
    window = policy.tumblingWindowMilliseconds > 0 ? progress.window : progress.window?.ending(early: true)
    // What was stored is the world's word: a batch that does not begin at the checkpoint is none.
    if let failing = progress.failing, failing.extent.first == progress.next,
      failing.extent.count >= 1 || window?.isEnding == true
    {
      head = .failing(failing)
      retryDue = failing.dueAfterRestart(policy, now)
    } else if let piece = pieces.popLast() {
      head = .cut(count: piece)
    }
  }
}
