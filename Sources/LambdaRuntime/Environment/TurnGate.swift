import Locks

/// Lets a number of callers in at once; the others wait in turn. Who leaves may leave something behind, such as a warm
/// process, which the next one finds.
final class TurnGate<Kept: Sendable>: Sendable {
  enum Turn: Sendable {
    /// With what was left behind last, if there is something.
    case granted(Kept?)
    case cancelled
    case throttled
    case shutDown
  }

  private typealias Waiter = CheckedContinuation<Turn, Never>

  private struct State {
    var taken = 0
    /// What was left behind, the latest at the end.
    var kept: [Kept] = []
    var queue = TurnQueue<Waiter>()
    var nextNumber = 0
    var isShutDown = false
    /// Those who wait until nobody is in.
    var observers: [CheckedContinuation<Void, Never>] = []

    /// `nil`: there is no room.
    mutating func grant(_ permits: Int) -> Turn? {
      if isShutDown { return .shutDown }
      if Task.isCancelled { return .cancelled }
      guard taken < permits else { return nil }
      taken += 1
      return .granted(kept.popLast())
    }
  }

  private let permits: Int
  private let throttleAfter: Duration?
  private let state = Mutex(State())

  /// - Parameter throttleAfter: how long a caller waits for its turn at most; `nil`: for ever.
  init(permits: Int, throttleAfter: Duration? = nil) {
    precondition(permits > 0, "somebody can be let in")
    self.permits = permits
    self.throttleAfter = throttleAfter
  }

  /// Callers that are in.
  var takenCount: Int { state.withLock { $0.taken } }
  var waitingCount: Int { state.withLock { $0.queue.count } }

  /// Who is granted a turn ends it with ``leave(_:)``. Where several share the gate, `caller` is told apart from the others.
  func enter(for caller: ObjectIdentifier?) async -> Turn {
    if let turn = state.withLock({ $0.grant(permits) }) { return turn }
    let number = state.withLock { state in
      state.nextNumber += 1
      return state.nextNumber
    }
    let timer = throttleAfter.map { limit in
      Task { [weak self] in
        do {
          try await ContinuousClock().sleep(for: limit)
        } catch {
          return
        }
        self?.endWait(number, with: .throttled)
      }
    }
    defer { timer?.cancel() }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let turn: Turn? = state.withLock { state in
          if let turn = state.grant(permits) { return turn }
          state.queue.append(continuation, number: number, of: caller)
          return nil
        }
        if let turn { continuation.resume(returning: turn) }
      }
    } onCancel: {
      endWait(number, with: .cancelled)
    }
  }

  /// Ends a turn. `left` is for whoever comes next.
  func leave(_ left: Kept? = nil) {
    let (next, observers) = state.withLock { state -> (Waiter?, [CheckedContinuation<Void, Never>]) in
      if let next = state.queue.popFirst() { return (next, []) }
      state.taken -= 1
      if let left, !state.isShutDown { state.kept.append(left) }
      guard state.taken == 0 else { return (nil, []) }
      defer { state.observers = [] }
      return (nil, state.observers)
    }
    next?.resume(returning: .granted(left))
    for observer in observers { observer.resume() }
  }

  /// Leaves something behind without having been in.
  func keep(_ new: Kept) {
    state.withLock { state in
      if !state.isShutDown { state.kept.append(new) }
    }
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

  /// Nobody is let in any more, and nothing is kept. Those who are in stay.
  func shutDown() {
    let queue = state.withLock { state in
      state.isShutDown = true
      state.kept = []
      return state.queue.removeAll()
    }
    for waiter in queue { waiter.resume(returning: .shutDown) }
  }

  private func endWait(_ number: Int, with turn: Turn) {
    state.withLock { $0.queue.remove(number) }?.resume(returning: turn)
  }
}

extension TurnGate where Kept: AnyObject {
  /// Takes `known` from what is kept; false if it is not there.
  func remove(_ known: Kept) -> Bool {
    state.withLock { state in
      guard let position = state.kept.firstIndex(where: { $0 === known }) else { return false }
      state.kept.remove(at: position)
      return true
    }
  }
}
