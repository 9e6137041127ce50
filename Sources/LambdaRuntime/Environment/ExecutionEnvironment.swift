import Foundation
import Locks
import Logging
import StreamModel

/// One warm process that speaks the Runtime API: takes an event, gives a result, one at a time.
///
/// A thread of its own starts the process, serves its Runtime API, reads its log and ends it, so that nothing of the
/// process is shared: the others leave a request under the lock and wake the thread. That thread lives as long as the
/// process, because `PR_SET_PDEATHSIG` is bound to it.
final class ExecutionEnvironment: Sendable {
  /// What became of one event.
  enum Exchange: Sendable {
    case response([UInt8])
    case failed(HandlerFailure)
    /// The process could not be initialized; it never saw the event.
    case initFailed(HandlerFailure)
    /// The process was gone, or the caller cancelled, before a byte of the event was sent.
    case notSent
  }

  /// An event for the process.
  struct Call {
    var requestID = ""
    var event = EventBuffer()
    var places = InvocationHead.Places()
    /// The time for the invocation, in nanoseconds.
    var timeout: Int64 = 0
    /// The initialization is a part of the invocation: both share its time.
    var includesInit = false
  }

  /// What the thread finds when it wakes up.
  struct Requests {
    var call = Call()
    var callNumber: UInt64 = 0
    /// Set with the call, taken by the thread.
    var continuation: CheckedContinuation<Exchange, Never>?
    var cancelledCallNumber: UInt64 = 0
    var stop = false
  }

  private struct Shared {
    var requests = Requests()
    var isUsable = true
    var isInitialized = false
    var hasAnswered = false
    /// The thread is done and nothing of the process is left.
    var isGone = false
    var failure: HandlerFailure?
    var observers: [CheckedContinuation<Void, Never>] = []
    /// Those who wait for the end of the initialization.
    var initObservers: [CheckedContinuation<Bool, Never>] = []
  }

  /// Started before anybody needs it, and kept.
  let isProvisioned: Bool
  private let shared = Mutex(Shared())
  private let wakeReading: Int32
  private let wakeWriting: Int32

  /// What an environment asks and tells the one who keeps it, on its thread.
  struct Keeper: Sendable {
    /// It has waited for an event for the idle time. If this says so it ends, and nobody may use it any more.
    var mayExpire: @Sendable (ExecutionEnvironment) -> Bool
    /// Nothing is left of it. Why, if it was not told to end.
    var didEnd: @Sendable (ExecutionEnvironment, HandlerFailure?) -> Void
  }

  /// Starts a process. Throws ``HandlerFailure`` of kind `unavailable` if that is impossible.
  static func start(
    _ settings: FunctionSettings, _ limits: FunctionLimits, isProvisioned: Bool, statistics: FunctionStatistics,
    logger: Logger, keeper: Keeper
  ) async throws(HandlerFailure) -> ExecutionEnvironment {
    guard let wake = SystemCall.pipe() else {
      throw HandlerCommand.unavailable("cannot make a pipe: too many open files")
    }
    let environment = ExecutionEnvironment(
      isProvisioned: isProvisioned, wakeReading: wake.reading, wakeWriting: wake.writing)
    let refusal: HandlerFailure? = await withCheckedContinuation { continuation in
      let thread = Thread {
        SystemCall.blockBrokenPipeSignal()
        var loop: EnvironmentLoop
        do throws(HandlerFailure) {
          loop = try EnvironmentLoop(
            environment, settings, limits, statistics: statistics, logger: logger, mayExpire: keeper.mayExpire)
        } catch {
          environment.finish(nil)
          continuation.resume(returning: error)
          return
        }
        continuation.resume(returning: nil)
        let failure = loop.run()
        environment.finish(failure)
        keeper.didEnd(environment, failure)
      }
      thread.name = "environment"
      thread.stackSize = 512 << 10
      thread.start()
    }
    if let refusal { throw refusal }
    return environment
  }

  private init(isProvisioned: Bool, wakeReading: Int32, wakeWriting: Int32) {
    self.isProvisioned = isProvisioned
    self.wakeReading = wakeReading
    self.wakeWriting = wakeWriting
    SystemCall.setNonBlocking(wakeReading)
    SystemCall.setNonBlocking(wakeWriting)
  }

  deinit {
    close(wakeReading)
    close(wakeWriting)
  }

  /// Whether another event may be sent.
  var isUsable: Bool { shared.withLock { $0.isUsable } }

  /// Whether the process ever asked for an event.
  var isInitialized: Bool { shared.withLock { $0.isInitialized } }

  /// Whether an invocation ever had a result.
  var hasAnswered: Bool { shared.withLock { $0.hasAnswered } }

  /// Sends one event and waits for its result. One at a time. When the task is cancelled the process is killed, and this
  /// returns when nothing of it is left. `prepare` fills the call; its event is empty, with the memory of the last one.
  func exchange(_ prepare: (inout Call) -> Void) async -> Exchange {
    let number = shared.withLock { shared in
      shared.requests.callNumber += 1
      shared.requests.call.event.removeAll()
      prepare(&shared.requests.call)
      return shared.requests.callNumber
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isSubmitted = shared.withLock { shared in
          guard shared.isUsable, !shared.isGone, shared.requests.cancelledCallNumber != number else { return false }
          precondition(shared.requests.continuation == nil, "an environment has one invocation at a time")
          shared.requests.continuation = continuation
          return true
        }
        if isSubmitted { wake() } else { continuation.resume(returning: .notSent) }
      }
    } onCancel: {
      shared.withLock { $0.requests.cancelledCallNumber = number }
      wake()
    }
  }

  /// Waits until the process has asked for its first event; false if it ended before.
  func waitUntilInitialized() async -> Bool {
    await withCheckedContinuation { continuation in
      let known: Bool? = shared.withLock { shared in
        if shared.isInitialized { return true }
        if shared.isGone { return false }
        shared.initObservers.append(continuation)
        return nil
      }
      if let known { continuation.resume(returning: known) }
    }
  }

  /// Ends the process once its invocation is over: SIGTERM, then SIGKILL.
  func requestStop() {
    shared.withLock {
      $0.isUsable = false
      $0.requests.stop = true
    }
    wake()
  }

  /// Why the process ended, once nothing of it is left; `nil` if it was told to.
  func failure() async -> HandlerFailure? {
    await waitUntilGone()
    return shared.withLock { $0.failure }
  }

  /// Waits until nothing of the process is left.
  func waitUntilGone() async {
    await withCheckedContinuation { continuation in
      let isGone = shared.withLock { shared in
        if !shared.isGone { shared.observers.append(continuation) }
        return shared.isGone
      }
      if isGone { continuation.resume() }
    }
  }

  // MARK: For the thread

  var wakeHandle: Int32 { wakeReading }

  /// Gives the requests to `body`, which takes what it acts on.
  func withRequests<Result>(_ body: (inout Requests) -> Result) -> Result {
    shared.withLock { body(&$0.requests) }
  }

  func noteAnswer() { shared.withLock { $0.hasAnswered = true } }

  func noteUnusable() { shared.withLock { $0.isUsable = false } }

  func noteInitialized() {
    let observers = shared.withLock { shared in
      shared.isInitialized = true
      defer { shared.initObservers = [] }
      return shared.initObservers
    }
    for observer in observers { observer.resume(returning: true) }
  }

  /// The thread is done: whoever waits goes on.
  private func finish(_ failure: HandlerFailure?) {
    let (pending, observers, initObservers) = shared.withLock { shared in
      shared.isUsable = false
      shared.isGone = true
      shared.failure = failure
      defer {
        shared.requests.continuation = nil
        shared.observers = []
        shared.initObservers = []
      }
      return (shared.requests.continuation, shared.observers, shared.initObservers)
    }
    pending?.resume(returning: .notSent)
    for observer in initObservers { observer.resume(returning: false) }
    for observer in observers { observer.resume() }
  }

  /// A full pipe is fine: then a wake-up is already waiting.
  private func wake() {
    var byte: UInt8 = 0
    _ = unsafe Foundation.write(wakeWriting, &byte, 1)
  }
}
