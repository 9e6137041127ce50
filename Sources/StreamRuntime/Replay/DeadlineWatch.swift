import Locks
import ShardCore

/// Ends the handlers of deliveries whose real time is over. One task waits for all: none is made for each delivery.
final class DeadlineWatch: Sendable {
  private struct Watched {
    var lane: LaneRunner
    var delivery: DeliveryID
    var deadline: ContinuousClock.Instant
  }

  private struct State {
    var watched: [Int: Watched] = [:]
    var nextNumber = 0
    var task: Task<Void, any Error>?
  }

  private let limit: Duration
  private let state = Mutex(State())

  /// No delivery may take longer.
  init(limitMilliseconds: Int64) {
    // Far beyond what a handler may be given, and no clock overflows.
    limit = .milliseconds(min(limitMilliseconds, 30 * 86_400_000))
  }

  deinit { state.withLock { $0.task }?.cancel() }

  /// Runs `body`, which carries out the delivery.
  func watching(
    _ delivery: DeliveryID, of lane: LaneRunner, _ body: () async -> DeliveryAnswer
  ) async -> DeliveryAnswer {
    let deadline = ContinuousClock.now + limit
    let number = state.withLock { state in
      if state.task == nil { state.task = makeTask() }
      state.nextNumber += 1
      state.watched[state.nextNumber] = Watched(lane: lane, delivery: delivery, deadline: deadline)
      return state.nextNumber
    }
    defer { state.withLock { _ = $0.watched.removeValue(forKey: number) } }
    return await body()
  }

  private func makeTask() -> Task<Void, any Error> {
    Task { [weak self] in
      while let moment = self?.look() { try await Task.sleep(until: moment, tolerance: .zero, clock: .continuous) }
    }
  }

  /// Ends what is over, and says when to look again: what begins meanwhile is not over before that.
  private func look() -> ContinuousClock.Instant {
    let now = ContinuousClock.now
    let (over, next) = state.withLock { state in
      let over = state.watched.filter { $0.value.deadline <= now }
      for number in over.keys { state.watched.removeValue(forKey: number) }
      return (over, state.watched.values.map(\.deadline).min() ?? now + limit)
    }
    for (lane, delivery) in over.values.map({ ($0.lane, $0.delivery) }) { lane.cancel(delivery, because: .deadline) }
    return next
  }
}
