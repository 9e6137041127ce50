import Locks
import Replays
import ShardCore
import StreamModel
import StreamRuntime

/// Notices in a replay that no process of the handler ever comes to its first event: a command that is not there, a file that
/// cannot be loaded. Retries without end would go on for a day of virtual time.
///
/// When the first deliveries have all failed, a process is started beside them to see whether it ends without an event.
final class StartWatch {
  /// After so many deliveries that failed, and none that did not.
  private static let failureLimit = 3

  private let startFailure: @Sendable () async -> HandlerFailure?
  private let found = Found()
  private var failures = 0
  private var hasSucceeded = false
  private var task: Task<Void, Never>?

  private final class Found: Sendable {
    let failure = Mutex<HandlerFailure?>(nil)
  }

  init(_ startFailure: @escaping @Sendable () async -> HandlerFailure?) { self.startFailure = startFailure }

  /// Throws ``HandlerNeverStarts`` once that is known.
  func look(at event: ReplayEvent) throws {
    guard !hasSucceeded, case .delivered(let delivery) = event else { return }
    guard case .faulted(_, rule: _) = delivery.answer else {
      hasSucceeded = true
      task?.cancel()
      return
    }
    failures += 1
    if failures == Self.failureLimit {
      task = Task { [found, startFailure] in
        let failure = await startFailure()
        found.failure.withLock { $0 = failure }
      }
    }
    try tell()
  }

  /// Waits until it is known, where nothing has succeeded by the end.
  func end() async throws {
    await task?.value
    if !hasSucceeded { try tell() }
  }

  private func tell() throws {
    if let failure = found.failure.withLock({ $0 }) { throw HandlerNeverStarts(failure: failure) }
  }
}

/// No process of the handler comes to its first event.
struct HandlerNeverStarts: Error {
  var failure: HandlerFailure
}
