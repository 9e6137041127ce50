import Locks
import StreamRuntime

/// Holds the poller that `run()` makes, for those who hold a copy of the processor.
final class StartedPoller: Sendable {
  private let state = Mutex<StreamPoller?>(nil)

  var poller: StreamPoller? { state.withLock { $0 } }

  func set(_ poller: StreamPoller) { state.withLock { $0 = poller } }
}
