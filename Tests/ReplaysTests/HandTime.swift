import Locks
import StreamRuntime

/// Real time that goes on only when nothing else can happen: every handler under way sleeps in it, or waits to be cancelled.
final class HandTime: ReplayTime {
  private struct Sleeper {
    var until: Int64
    var continuation: CheckedContinuation<Void, Never>
  }

  private struct State {
    var now: Int64 = 7_000_000
    var sleepers: [Int: Sleeper] = [:]
    var nextNumber = 0
    /// Of those who are cancelled before they sleep.
    var cancelled: Set<Int> = []
    var bell: ReplayBell?
  }

  private let state = Mutex(State())

  var nanoseconds: Int64 { state.withLock { $0.now } }

  /// Goes on by so much, whatever else could happen.
  func pass(milliseconds: Int64) { state.withLock { $0.now += milliseconds * 1_000_000 } }

  func wait(until moment: Int64, or bell: ReplayBell, underWay: Int) async {
    let (isBusy, due) = state.withLock { state -> (Bool, [CheckedContinuation<Void, Never>]) in
      state.bell = bell
      guard state.sleepers.count == underWay else { return (true, []) }
      state.now = max(state.now, min(moment, state.sleepers.values.map(\.until).min() ?? .max))
      let due = state.sleepers.filter { $0.value.until <= state.now }
      for number in due.keys { state.sleepers.removeValue(forKey: number) }
      return (!due.isEmpty, due.values.map(\.continuation))
    }
    for continuation in due { continuation.resume() }
    // A handler is on its way to its answer, or to its sleep: both ring.
    if isBusy { await bell.rung() }
  }

  /// Sleeps so long, or until the task is cancelled.
  func sleep(milliseconds: Int64) async {
    let number = state.withLock { state in
      state.nextNumber += 1
      return state.nextNumber
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let (isCancelled, bell) = state.withLock { state -> (Bool, ReplayBell?) in
          if state.cancelled.remove(number) != nil { return (true, nil) }
          state.sleepers[number] = Sleeper(until: state.now + milliseconds * 1_000_000, continuation: continuation)
          return (false, state.bell)
        }
        if isCancelled { continuation.resume() }
        bell?.ring()
      }
    } onCancel: {
      let sleeper = state.withLock { state in
        let sleeper = state.sleepers.removeValue(forKey: number)
        if sleeper == nil { state.cancelled.insert(number) }
        return sleeper
      }
      sleeper?.continuation.resume()
    }
  }
}
