import Foundation
import Locks
import StreamModel
import StreamRuntime

/// Looks at the memory of this process again and again, on a thread of its own: those of tasks may all be at work.
final class MemoryWatch: Sendable {
  private struct State {
    var greatest = 0
    var mayEnd = false
    var isOver = false
  }

  private let state = Monitor(State())
  private static let intervalNanoseconds: Int64 = 10_000_000

  init() {
    Thread { [state] in
      while true {
        let bytes = ResidentMemory.bytes()
        state.withLock { $0.greatest = max($0.greatest, bytes) }
        let next = SystemClock.monotonic().nanoseconds + Self.intervalNanoseconds
        if state.wait(deadline: next, { $0.mayEnd ? true : nil }) != nil { break }
      }
      state.withLock { $0.isOver = true }
      state.signal()
    }.start()
  }

  /// Ends the watch; the most bytes that were seen.
  func end() -> Int {
    state.withLock { $0.mayEnd = true }
    state.signal()
    return state.wait(deadline: nil) { $0.isOver ? $0.greatest : nil } ?? 0
  }
}
