import Foundation
import Locks
import Logging
import StreamModel

/// One warm process: takes an event line, gives an answer line, one at a time.
///
/// A thread of its own starts the process, moves all its bytes and ends it, so that nothing of the process is shared:
/// the others leave a request under the lock and wake the thread. `swift-subprocess` was the alternative. It ties a
/// process to the scope of one closure and starts it from a thread that is not ours; we need processes that outlive a
/// call, and `PR_SET_PDEATHSIG` is bound to the life of the very thread that started the process.
final class ChildProcess: Sendable {
  /// What became of one event.
  enum Exchange: Sendable {
    case answered([UInt8])
    /// The process was gone, or the caller cancelled, before a byte of the event was sent.
    case notSent
    case ended(End)
  }

  /// Why and how a process ended.
  struct End: Sendable {
    var cause: Cause
    var ending: ProcessEnding
    /// The last lines of its standard error.
    var trace: [String]
  }

  enum Cause: Hashable, Sendable {
    case byItself
    /// We stopped it because its caller was cancelled.
    case cancelled
    /// We killed it because what it wrote cannot be trusted.
    case untrusted(String)
  }

  /// What the thread finds when it wakes up.
  struct Requests {
    var event = EventBuffer()
    var eventNumber: UInt64 = 0
    /// Set with the event, taken by the thread.
    var continuation: CheckedContinuation<Exchange, Never>?
    var cancelledEventNumber: UInt64 = 0
    var stop = false
    var hasEnded = false
  }

  private struct Shared {
    var requests = Requests()
    var isUsable = true
    var answerCount = 0
    /// The thread is done and nothing of the process is left.
    var isGone = false
    var end: End?
    var observers: [CheckedContinuation<Void, Never>] = []
  }

  private let shared = Mutex(Shared())
  private let wakeReading: Int32
  private let wakeWriting: Int32

  /// Starts a process. Throws ``HandlerFailure`` of kind `unavailable` if that is impossible.
  static func start(
    _ command: HandlerCommand.Resolved, limits: LineProcessLimits, logger: Logger
  ) async throws(HandlerFailure) -> ChildProcess {
    guard let wake = SystemCall.pipe() else {
      throw HandlerCommand.unavailable("cannot make a pipe: too many open files")
    }
    let child = ChildProcess(wakeReading: wake.reading, wakeWriting: wake.writing)
    let refusal: HandlerFailure? = await withCheckedContinuation { continuation in
      let thread = Thread {
        SystemCall.blockBrokenPipeSignal()
        let process: SpawnedProcess
        do throws(HandlerFailure) {
          process = try SpawnedProcess(command)
        } catch {
          child.finish(nil)
          continuation.resume(returning: error)
          return
        }
        child.watchForEnd(of: process.pid)
        continuation.resume(returning: nil)
        var loop = ChildLoop(
          child: child, process: process, limits: limits, mask: SecretMask(command.environment), logger: logger)
        child.finish(loop.run())
      }
      thread.name = "handler"
      thread.stackSize = 512 << 10
      thread.start()
    }
    if let refusal { throw refusal }
    return child
  }

  private init(wakeReading: Int32, wakeWriting: Int32) {
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

  /// Whether the process ever answered.
  var hasAnswered: Bool { shared.withLock { $0.answerCount > 0 } }

  /// Sends one event and waits for its answer. One at a time. When the task is cancelled the process is stopped, and
  /// this returns when nothing of it is left.
  func exchange(_ encode: (inout EventBuffer) -> Void) async -> Exchange {
    let number = shared.withLock { shared in
      shared.requests.eventNumber += 1
      shared.requests.event.removeAll()
      encode(&shared.requests.event)
      shared.requests.event.append(UInt8(ascii: "\n"))
      return shared.requests.eventNumber
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isSubmitted = shared.withLock { shared in
          guard shared.isUsable, !shared.isGone, shared.requests.cancelledEventNumber != number else { return false }
          precondition(shared.requests.continuation == nil, "a process has one event at a time")
          shared.requests.continuation = continuation
          return true
        }
        if isSubmitted { wake() } else { continuation.resume(returning: .notSent) }
      }
    } onCancel: {
      shared.withLock { $0.requests.cancelledEventNumber = number }
      wake()
    }
  }

  /// Ends the process once its event is answered: end of input, then SIGTERM, then SIGKILL.
  func requestStop() {
    shared.withLock {
      $0.isUsable = false
      $0.requests.stop = true
    }
    wake()
  }

  /// Waits until nothing of the process is left, and tells how it ended; `nil` if it never ran.
  func end() async -> End? {
    await waitUntilGone()
    return shared.withLock { $0.end }
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
  func withRequests<Result: Sendable>(_ body: (inout Requests) -> Result) -> Result {
    shared.withLock { body(&$0.requests) }
  }

  /// Gives the buffer back for the next event.
  func recycle(_ event: EventBuffer) { shared.withLock { $0.requests.event = event } }

  func noteAnswer() { shared.withLock { $0.answerCount += 1 } }

  func noteUnusable() { shared.withLock { $0.isUsable = false } }

  /// The thread is done: whoever waits goes on.
  private func finish(_ end: End?) {
    let (pending, observers) = shared.withLock { shared in
      shared.isUsable = false
      shared.isGone = true
      shared.end = end
      defer {
        shared.requests.continuation = nil
        shared.observers = []
      }
      return (shared.requests.continuation, shared.observers)
    }
    pending?.resume(returning: .notSent)
    for observer in observers { observer.resume() }
  }

  /// Tells the thread when the process has ended. The end of its output does not: what it started may hold that open.
  private func watchForEnd(of pid: pid_t) {
    let thread = Thread { [self] in
      SystemCall.waitForEnd(of: pid)
      shared.withLock { $0.requests.hasEnded = true }
      wake()
    }
    thread.name = "handler end"
    thread.stackSize = 128 << 10
    thread.start()
  }

  /// A full pipe is fine: then a wake-up is already waiting.
  private func wake() {
    var byte: UInt8 = 0
    _ = unsafe Foundation.write(wakeWriting, &byte, 1)
  }
}
