import StreamModel

/// Settings of a mapping that change while its lanes run.
///
/// A decision that was made stays: what is read is delivered, what is in flight ends, a frozen batch keeps its records,
/// and a batch that leaves leaves. Everything later follows the new settings.
extension Lane {
  /// The mapping has another policy from now on. Windows, waits and limits are looked at again.
  mutating func policyChanged(_ step: LaneStep, _ effects: inout [PollerEffect]) {
    let endsWindow = endWindowIfThereAreNone(step)
    switch phase {
    case .idle:
      if endsWindow { goOn(step, &effects) }
    case .backingOff, .ready, .windowing, .holding:
      goOn(step, &effects)
    case .waitingForParents, .reading, .delivering, .cancelling, .storingFailure, .failureRefused, .unavailable,
      .paused, .stopped, .finished, .resting:
      break
    }
  }

  /// The mapping was closed and is open again. A window that was open then is over; the next one begins with the next
  /// record that is seen.
  mutating func reopened(_ step: LaneStep, _ effects: inout [PollerEffect]) {
    switch phase {
    case .resting:
      windowOpenedAt = nil
      goOn(step, &effects)
    case .waitingForParents, .idle, .ready, .reading, .windowing, .delivering, .cancelling, .backingOff,
      .storingFailure, .failureRefused, .holding, .unavailable, .paused, .stopped, .finished:
      break  // It was not closed for this lane yet: what was in flight goes on.
    }
  }
}
