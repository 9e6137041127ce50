import Locks

/// Something that one task waits for and any others ring. A ring while nobody waits is kept for the next wait.
public final class ReplayBell: Sendable {
  private struct State {
    var isRung = false
    var waiting: CheckedContinuation<Void, Never>?
  }

  private let state = Mutex(State())

  init() {}

  public func ring() {
    let waiting = state.withLock { state in
      let waiting = state.waiting
      state.waiting = nil
      state.isRung = waiting == nil
      return waiting
    }
    waiting?.resume()
  }

  /// Returns when it was rung since the last time. Not for several tasks at once.
  public func rung() async {
    await withCheckedContinuation { continuation in
      let isRung = state.withLock { state in
        defer { state.isRung = false }
        if !state.isRung { state.waiting = continuation }
        return state.isRung
      }
      if isRung { continuation.resume() }
    }
  }
}
