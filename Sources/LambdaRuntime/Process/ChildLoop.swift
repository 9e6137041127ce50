import Foundation
import Logging

#if canImport(Glibc)
  import Glibc
#endif

/// What the thread of a ``ChildProcess`` does: it waits for bytes, requests and times, and moves them.
///
/// Input, output and errors are served in every turn, so a process may write while a large event is still being sent.
struct ChildLoop {
  private let child: ChildProcess
  private let process: SpawnedProcess
  private let limits: LineProcessLimits
  private let logger: Logger

  private var input: Int32?
  private var output: Int32?
  private var errors: Int32?
  private var chunk = [UInt8](repeating: 0, count: 65_536)
  private var errorOutput: ErrorOutput
  private var invocation: Invocation?
  private var stopping: Stopping?
  private var hasEnded = false

  /// An event on its way.
  private struct Invocation {
    var event: EventBuffer
    var number: UInt64
    var writtenByteCount = 0
    var answer: [UInt8] = []
    var continuation: CheckedContinuation<ChildProcess.Exchange, Never>

    var unwrittenByteCount: Int { event.count - writtenByteCount }
  }

  /// The process is being ended.
  private struct Stopping {
    var cause: ChildProcess.Cause
    /// When the next, harder step is due, in nanoseconds of the monotonic clock; `nil` when there is none.
    var nextStepDue: Int64?
    var nextStep: Step

    enum Step { case terminate, kill }
  }

  init(
    child: ChildProcess, process: SpawnedProcess, limits: LineProcessLimits, mask: SecretMask, logger: Logger
  ) {
    var logger = logger
    logger[metadataKey: "pid"] = "\(process.pid)"
    self.child = child
    self.process = process
    self.limits = limits
    self.logger = logger
    self.input = process.input
    self.output = process.output
    self.errors = process.errors
    self.errorOutput = ErrorOutput(logger: logger, mask: mask)
  }

  /// Runs until the process is gone.
  mutating func run() -> ChildProcess.End {
    while !hasEnded {
      waitForSomething()
      takeRequests()
      readErrors()
      readOutput()
      writeInput()
      takeNextStepIfDue()
    }
    return cleanUp()
  }

  private func waitForSomething() {
    var handles = [pollfd(fd: child.wakeHandle, events: Int16(POLLIN), revents: 0)]
    if let output { handles.append(pollfd(fd: output, events: Int16(POLLIN), revents: 0)) }
    if let errors { handles.append(pollfd(fd: errors, events: Int16(POLLIN), revents: 0)) }
    if let input, let invocation, invocation.unwrittenByteCount > 0 {
      handles.append(pollfd(fd: input, events: Int16(POLLOUT), revents: 0))
    }
    let timeout = stopping?.nextStepDue.map { max(0, $0 - SystemCall.now()) }
    SystemCall.wait(&handles, timeout: timeout)
  }

  // MARK: Requests

  private mutating func takeRequests() {
    _ = SystemCall.read(child.wakeHandle, into: &chunk)
    let (event, number, continuation, cancelled, mustStop, ended) = child.withRequests { requests in
      defer { requests.continuation = nil }
      var event = EventBuffer()
      if requests.continuation != nil { swap(&event, &requests.event) }
      return (
        event, requests.eventNumber, requests.continuation, requests.cancelledEventNumber, requests.stop,
        requests.hasEnded
      )
    }
    hasEnded = ended
    if let continuation {
      begin(Invocation(event: event, number: number, continuation: continuation))
    }
    if let invocation, cancelled == invocation.number { stop(.cancelled) }
    if mustStop, invocation == nil { stopGracefully() }
  }

  /// Sends nothing to a process that is about to go, or that has already said something nobody asked for.
  private mutating func begin(_ invocation: Invocation) {
    readOutput()
    guard !hasEnded, stopping == nil, output != nil else {
      child.noteUnusable()
      child.recycle(invocation.event)
      invocation.continuation.resume(returning: .notSent)
      return
    }
    errorOutput.forget()
    self.invocation = invocation
  }

  // MARK: Bytes

  private mutating func writeInput() {
    guard let input, var current = invocation, current.unwrittenByteCount > 0 else { return }
    invocation = nil
    defer { invocation = current }
    while current.unwrittenByteCount > 0 {
      let start = current.writtenByteCount
      let transfer = unsafe current.event.withUnsafeBytes {
        unsafe SystemCall.write(input, UnsafeRawBufferPointer(rebasing: $0[start...]))
      }
      switch transfer {
      case .bytes(let count): current.writtenByteCount += count
      case .wouldBlock: return
      case .closed:
        // It reads no more. Its end or its answer will come by itself.
        closeInput()
        return
      }
    }
  }

  private mutating func readErrors() {
    guard let errors else { return }
    // A few chunks a turn: a flood must not keep the answer waiting.
    for _ in 0..<4 {
      switch SystemCall.read(errors, into: &chunk) {
      case .bytes(let count): errorOutput.take(chunk[..<count], at: SystemCall.now())
      case .wouldBlock: return
      case .closed:
        close(errors)
        self.errors = nil
        return
      }
    }
  }

  private mutating func readOutput() {
    guard let output else { return }
    for _ in 0..<4 {
      switch SystemCall.read(output, into: &chunk) {
      case .bytes(let count): takeOutput(count)
      case .wouldBlock: return
      case .closed:
        close(output)
        self.output = nil
        // Mostly this is its end, a moment before we hear of it; if not, it can never answer again.
        child.noteUnusable()
        if stopping == nil {
          stopping = Stopping(
            cause: .byItself, nextStepDue: SystemCall.now() + limits.shutdownGrace.nanoseconds, nextStep: .terminate)
        }
        return
      }
    }
  }

  private mutating func takeOutput(_ count: Int) {
    // Once we are ending it for a reason of ours, nothing that it says counts.
    guard stopping == nil || stopping?.cause == .byItself else { return }
    guard var current = invocation else {
      stop(.untrusted("the handler wrote to its standard output without being asked"))
      return
    }
    // It can only answer what it has read. The end of line is not needed to understand an event.
    if let input, current.answer.isEmpty,
      current.unwrittenByteCount + SystemCall.unreadByteCount(input) > 1
    {
      stop(.untrusted("the handler wrote to its standard output before it had read the event"))
      return
    }
    let bytes = chunk[..<count]
    let end = bytes.firstIndex(of: UInt8(ascii: "\n"))
    current.answer.append(contentsOf: bytes[..<(end ?? count)])
    invocation = current
    guard current.answer.count <= limits.answerByteCount else {
      stop(.untrusted("the answer is larger than \(limits.answerByteCount) bytes"))
      return
    }
    guard let end else { return }
    invocation = nil
    child.noteAnswer()
    child.recycle(current.event)
    if end + 1 < count { stop(.untrusted("the handler answered more than once")) }
    current.continuation.resume(returning: .answered(current.answer))
  }

  // MARK: The end

  private mutating func stop(_ cause: ChildProcess.Cause) {
    child.noteUnusable()
    if stopping?.cause == .cancelled { return }
    if case .untrusted(let reason) = cause {
      if invocation == nil { logger.warning("a handler process is replaced", metadata: ["reason": "\(reason)"]) }
      stopping = Stopping(cause: cause, nextStepDue: nil, nextStep: .kill)
      signal(SIGKILL)
      return
    }
    let due = SystemCall.now() + limits.deadlineGrace.nanoseconds
    stopping = Stopping(cause: cause, nextStepDue: due, nextStep: .kill)
    signal(SIGTERM)
  }

  private mutating func stopGracefully() {
    guard stopping == nil else { return }
    closeInput()
    let due = SystemCall.now() + limits.shutdownGrace.nanoseconds
    stopping = Stopping(cause: .byItself, nextStepDue: due, nextStep: .terminate)
  }

  private mutating func takeNextStepIfDue() {
    guard let current = stopping, let due = current.nextStepDue, SystemCall.now() >= due else { return }
    switch current.nextStep {
    case .terminate:
      signal(SIGTERM)
      let due = SystemCall.now() + limits.shutdownGrace.nanoseconds
      stopping = Stopping(cause: current.cause, nextStepDue: due, nextStep: .kill)
    case .kill:
      signal(SIGKILL)
      stopping?.nextStepDue = nil
    }
  }

  /// To the whole group. Its id is ours until the process is reaped.
  private func signal(_ number: Int32) { _ = kill(-process.pid, number) }

  private mutating func cleanUp() -> ChildProcess.End {
    child.noteUnusable()
    // What it started goes with it.
    signal(SIGKILL)
    // Its last words: at most what the pipes hold, unless someone who left the group keeps writing.
    for _ in 0..<16 {
      readOutput()
      readErrors()
    }
    errorOutput.finish(at: SystemCall.now())
    for handle in [input, output, errors].compactMap(\.self) { close(handle) }
    (input, output, errors) = (nil, nil, nil)
    let ending = process.reap()
    let end = ChildProcess.End(cause: stopping?.cause ?? .byItself, ending: ending, trace: errorOutput.tail)
    logger.debug("a handler process ended", metadata: ["ending": "\(ending)"])
    invocation.take()?.continuation.resume(returning: .ended(end))
    return end
  }

  private mutating func closeInput() {
    guard let input else { return }
    close(input)
    self.input = nil
  }
}

extension Duration {
  fileprivate var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
  }
}
