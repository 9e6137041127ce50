import StreamModel

/// Progress: what is stored, when, and what waits for it.
extension Lane {
  var progress: LaneProgress {
    var progress = LaneProgress(
      next: next, isFinished: isFinished, isPaused: isPaused, failing: head.failing, pieces: frozenBatches,
      window: window, lostToRetention: lostToRetention, lostToDamage: lostToDamage)
    progress.parksKeys = parked?.isEmpty == false
    return progress
  }

  /// The same with all that is parked.
  var wholeProgress: LaneProgress {
    var progress = progress
    if let parked { progress.parked = parked.all }
    return progress
  }

  /// The counts of the frozen batches, the nearest first and without the failing one.
  private var frozenBatches: [Int] {
    if case .cut(let count) = head { return [count] + pieces.reversed() }
    return pieces.isEmpty ? [] : pieces.reversed()
  }

  mutating func progressChanged(settlingBatch: Bool) {
    writer.change(settlingBatch: settlingBatch)
  }

  /// Sends the newest progress if it may go now.
  mutating func storeProgress(_ step: LaneStep, _ effects: inout [PollerEffect]) {
    guard let revision = writer.begin(at: step.now.monotonic) else { return }
    var progress = progress
    parked?.moveChanges(to: &progress)
    effects.append(.storeProgress(id, progress, revision: revision))
  }

  mutating func takeStored(revision: UInt64, _ step: LaneStep, _ effects: inout [PollerEffect]) {
    guard writer.stored(revision: revision) else { return }
    parked?.changesStored()
    if phase.isHolding, !isHeldByParking { goOn(step, &effects) }
  }

  mutating func takeRefused(revision: UInt64, _ step: LaneStep) {
    let isUnderWay = writer.revisionUnderWay == revision
    writer.refused(
      revision: revision, retryAt: step.now.monotonic.adding(milliseconds: step.limits.storeRetryMilliseconds))
    if isUnderWay { parked?.changesRefused() }
  }
}
