import Locks

/// Counts what a handler gets, and says when it is enough.
final class DrainMeter: Sendable {
  private struct State {
    var records = 0
    var batches = 0
    var inFlight = 0
    var greatestInFlight = 0
    var firstDelivery: ContinuousClock.Instant?
    var finishedAt: ContinuousClock.Instant?
    var waiter: CheckedContinuation<Void, Never>?
  }

  private let goal: Int
  private let state = Mutex(State())

  init(goal: Int) {
    self.goal = goal
  }

  var records: Int { state.withLock { $0.records } }
  var batches: Int { state.withLock { $0.batches } }
  var greatestInFlight: Int { state.withLock { $0.greatestInFlight } }
  var firstDelivery: ContinuousClock.Instant? { state.withLock { $0.firstDelivery } }
  /// When it was enough; `nil` before.
  var finishedAt: ContinuousClock.Instant? { state.withLock { $0.finishedAt } }

  func begin() {
    state.withLock { state in
      if state.firstDelivery == nil { state.firstDelivery = .now }
      state.inFlight += 1
      state.greatestInFlight = max(state.greatestInFlight, state.inFlight)
    }
  }

  func end(records: Int) {
    let isEnough = state.withLock { state in
      state.records += records
      state.batches += 1
      state.inFlight -= 1
      return state.records >= goal
    }
    if isEnough { finish() }
  }

  func finish() {
    let waiter = state.withLock { state in
      if state.finishedAt == nil { state.finishedAt = .now }
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume()
  }

  func wait() async {
    await withCheckedContinuation { continuation in
      let isDone = state.withLock { state in
        if state.finishedAt == nil { state.waiter = continuation }
        return state.finishedAt != nil
      }
      if isDone { continuation.resume() }
    }
  }
}
