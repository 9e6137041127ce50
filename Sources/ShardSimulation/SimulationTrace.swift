import ShardCore
import StreamModel

/// The last lines of a run in words, for someone who looks for the reason of a broken promise.
struct SimulationTrace: Sendable {
  /// Lines to keep, 1 or more.
  let limit: Int
  private var kept: [String] = []
  /// Where the oldest line stands, once `kept` is full.
  private var oldest = 0

  init(limit: Int) {
    precondition(limit >= 1, "a trace has one line or more")
    self.limit = limit
  }

  /// Oldest first.
  var lines: [String] { Array(kept[oldest...] + kept[..<oldest]) }

  mutating func add(_ line: String) {
    if kept.count < limit {
      kept.append(line)
    } else {
      kept[oldest] = line
      oldest = (oldest + 1) % limit
    }
  }

  mutating func add(_ event: PollerEvent, at now: Now, step: UInt64) {
    let milliseconds = now.monotonic.nanoseconds / 1_000_000
    add("step \(step) at \(milliseconds) ms, wall \(now.wall.milliseconds): \(event.sentence)")
  }

  mutating func add(_ order: PollerEffect) { add("    -> \(order.sentence)") }
}

extension World {
  /// Something happens in the world that the poller does not hear of, or not yet.
  mutating func tell(_ what: StaticString, shard: Int? = nil) {
    guard trace != nil else { return }
    trace?.add("--- \(what)" + (shard.map { ": shard \($0)" } ?? ""))
  }
}
