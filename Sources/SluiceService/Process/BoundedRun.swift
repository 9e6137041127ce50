import Locks
import ServiceLifecycle
public import Sluice
public import StreamModel
import StreamRuntime
import StreamStore

/// A bounded run that has ended.
public struct BoundedRun: Sendable {
  /// Records that arrived before this moment were meant.
  public var moment: WallTime
  public var report: BoundedRunReport
}

/// Runs the mappings up to a bound, as a service that ends by itself.
struct BoundedProcessor: Service {
  private let processor: StreamProcessor
  private let bound: RunBound
  private let ended = Ended()

  private final class Ended: Sendable {
    let run = Mutex<BoundedRun?>(nil)
  }

  init(_ processor: StreamProcessor, until bound: RunBound) {
    self.processor = processor
    self.bound = bound
  }

  /// `nil` until it has ended.
  var run: BoundedRun? { ended.run.withLock { $0 } }

  func run() async throws {
    let report = try await processor.run(until: bound)
    ended.run.withLock { $0 = BoundedRun(moment: bound.moment, report: report) }
  }
}

extension ServiceProcess.End {
  func bound(in store: StreamStore) throws(StoreError) -> RunBound {
    switch self {
    case .now: try RunBound(now: SystemClock.now().wall, in: store)
    case .before(let moment): try RunBound(before: moment, in: store)
    }
  }
}
