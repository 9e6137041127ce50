import Locks

/// Lets a number of callers in at once; the others wait in turn, and not for ever.
final class TurnGate: Sendable {
  enum Turn: Sendable {
    case granted
    case cancelled
    case throttled
    case shutDown
  }

  private struct State {
    var taken = 0
    var queue = TurnQueue<CheckedContinuation<Turn, Never>>()
    var nextNumber = 0
    var isShutDown = false
    /// Those who wait until nobody is in.
    var observers: [CheckedContinuation<Void, Never>] = []
  }

  private let permits: Int
  private let throttleAfter: Duration
  private let state = Mutex(State())

  init(permits: Int, throttleAfter: Duration) {
    precondition(permits > 0, "somebody can be let in")
    self.permits = permits
    self.throttleAfter = throttleAfter
  }

  var takenCount: Int { state.withLock { $0.taken } }
  var waitingCount: Int { state.withLock { $0.queue.count } }

  /// Who is granted a turn ends it with ``leave()``.
  func enter(for caller: ObjectIdentifier?) async -> Turn {
    let direct: Turn? = state.withLock { state in
      if state.isShutDown { return .shutDown }
      guard state.taken < permits, state.queue.isEmpty else { return nil }
      state.taken += 1
      return .granted
    }
    if let direct { return direct }
    let number = state.withLock { state in
      state.nextNumber += 1
      return state.nextNumber
    }
    let timer = Task { [weak self, throttleAfter] in
      do {
        try await ContinuousClock().sleep(for: throttleAfter)
      } catch {
        return
      }
      self?.endWait(number, with: .throttled)
    }
    defer { timer.cancel() }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let turn: Turn? = state.withLock { state in
          if state.isShutDown { return .shutDown }
          if Task.isCancelled { return .cancelled }
          guard state.taken < permits else {
            state.queue.append(continuation, number: number, of: caller)
            return nil
          }
          state.taken += 1
          return .granted
        }
        if let turn { continuation.resume(returning: turn) }
      }
    } onCancel: {
      endWait(number, with: .cancelled)
    }
  }

  func leave() {
    let (next, observers) = state.withLock {
      state -> (CheckedContinuation<Turn, Never>?, [CheckedContinuation<Void, Never>]) in
      if let next = state.queue.popFirst() { return (next, []) }
      state.taken -= 1
      guard state.taken == 0 else { return (nil, []) }
      defer { state.observers = [] }
      return (nil, state.observers)
    }
    next?.resume(returning: .granted)
    for observer in observers { observer.resume() }
  }

  func waitUntilFree() async {
    await withCheckedContinuation { continuation in
      let isFree = state.withLock { state in
        if state.taken > 0 { state.observers.append(continuation) }
        return state.taken == 0
      }
      if isFree { continuation.resume() }
    }
  }

  /// Nobody is let in any more; returns when those who are in have left.
  func shutDown() async {
    let queue = state.withLock { state in
      state.isShutDown = true
      return state.queue.removeAll()
    }
    for waiter in queue { waiter.resume(returning: .shutDown) }
    await waitUntilFree()
  }

  private func endWait(_ number: Int, with turn: Turn) {
    state.withLock { $0.queue.remove(number) }?.resume(returning: turn)
  }
}
