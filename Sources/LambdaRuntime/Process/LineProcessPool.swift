import Locks
public import Logging
public import StreamModel

/// The warm processes of one function that speaks JSON lines: an event on standard input, an answer on standard output.
///
/// Processes are started when they are needed, up to a limit; beyond it callers wait, in turn among the mappings that
/// share the function. A process that dies, is cancelled or writes what it should not is replaced. One that dies without ever having answered makes
/// the next one wait, longer each time.
///
/// Each process leads a session of its own and everything in its group is killed with it, also if this process is killed
/// outright (``ProcessGuard``).
public final class LineProcessPool: Sendable {
  /// Processes at once at most.
  public let concurrency: Int
  private let command: HandlerCommand
  private let limits: LineProcessLimits
  private let logger: Logger
  /// Keeps the processes that wait for an event.
  private let gate: TurnGate<ChildProcess>
  private let state = Mutex(State())

  private struct State {
    /// Everything that has been started and may still run.
    var children: [ObjectIdentifier: ChildProcess] = [:]
    var isShutDown = false
    /// Processes in a row that ended without an answer.
    var barrenEnds = 0
    var startNotBefore: ContinuousClock.Instant?
  }

  public init(
    _ command: HandlerCommand, concurrency: Int, limits: LineProcessLimits = LineProcessLimits(), logger: Logger
  ) {
    self.command = command
    self.concurrency = concurrency
    self.limits = limits
    self.logger = logger
    self.gate = TurnGate(permits: concurrency)
  }

  deinit {
    for child in state.withLock({ Array($0.children.values) }) { child.requestStop() }
  }

  /// Sends the event that `encode` appends, without an end of line, and gives the line that came back. Where several share
  /// the function, `caller` is told apart from the others.
  ///
  /// Throws ``HandlerFailure``: `exited` when the process ended (also before its first event), `invalidResponse` when what it wrote cannot be the
  /// answer, `timedOut` when the task was cancelled during the call, `throttled` when it was cancelled before, and
  /// `unavailable` when no process can be started. Returns only when nothing works on the event any more.
  public func invoke(
    for caller: ObjectIdentifier? = nil, _ encode: (inout EventBuffer) -> Void
  ) async throws(HandlerFailure) -> [UInt8] {
    var child = try await enter(for: caller)
    while true {
      let current: ChildProcess
      if let child {
        current = child
      } else {
        do throws(HandlerFailure) {
          current = try await start()
        } catch {
          release(nil)
          throw error
        }
      }
      switch await current.exchange(encode) {
      case .answered(let answer):
        state.withLock { $0.barrenEnds = 0 }
        release(current)
        return answer
      case .ended(let end):
        noteEnd(of: current, isOurs: end.cause != .byItself)
        release(nil)
        throw Self.failure(for: end)
      case .notSent:
        if current.isUsable {
          release(current)
          throw Self.cancelledEarly
        }
        noteEnd(of: current, isOurs: false)
        // A process that waited for an event may go at any time, and the event gets another one. A new process that goes
        // before it has its first event would do so for ever.
        if child == nil, let end = await current.end() {
          release(nil)
          throw Self.failure(for: end)
        }
        child = nil
      }
    }
  }

  /// Starts processes until there are so many, or as many as may be at once: for callers whose first events are not to wait
  /// for that. A process does not say when it is ready for its first line, so this returns when they run. Where one cannot be
  /// started, no more are: the event that needs one tries again, and its failure tells why.
  public func prepare(_ count: Int) async {
    while state.withLock({ $0.children.count }) < min(count, concurrency) {
      do {
        gate.keep(try await start())
      } catch {
        logger.debug("no process could be started ahead", metadata: ["message": "\(error.message)"])
        return
      }
    }
  }

  /// Why a process of the function ends before anybody gives it an event: starts one for nothing else and looks for so long
  /// whether it ends by itself. `nil` if it does not: then it waits for an event, or is busy with its start.
  public func startFailure(within time: Duration) async -> HandlerFailure? {
    let child: ChildProcess
    do throws(HandlerFailure) {
      child = try await ChildProcess.start(command.resolved(), limits: limits, logger: logger)
    } catch {
      return error
    }
    let endsByItself = await withTaskGroup(of: Bool.self) { group in
      group.addTask {
        await child.waitUntilGone()
        return true
      }
      group.addTask {
        // Whoever cancels the sleep has no use for the process any more either.
        do { try await ContinuousClock().sleep(for: time) } catch is CancellationError {} catch {
          preconditionFailure("a clock is only cancelled: \(error)")
        }
        child.requestStop()
        return false
      }
      let first = await group.next() ?? false
      group.cancelAll()
      return first
    }
    guard endsByItself, !Task.isCancelled, let end = await child.end() else { return nil }
    return Self.failure(for: end)
  }

  /// Lets running events finish, then ends all processes: end of input, after a while SIGTERM, after another SIGKILL.
  /// Returns when all are gone. Calls that wait, and later ones, fail as `unavailable`. Calling it twice is fine.
  public func shutdown() async {
    let children = state.withLock { state in
      state.isShutDown = true
      return Array(state.children.values)
    }
    gate.shutDown()
    for child in children { child.requestStop() }
    for child in children { await child.waitUntilGone() }
  }

  /// As ``shutdown()``, when all calls have ended that run or wait now. For a pool that another has taken the place of.
  public func retire() async {
    await gate.waitUntilFree()
    await shutdown()
  }

  // MARK: Turns

  private func enter(for caller: ObjectIdentifier?) async throws(HandlerFailure) -> ChildProcess? {
    switch await gate.enter(for: caller) {
    case .granted(let child): return child
    // There is no limit to the wait.
    case .cancelled, .throttled: throw Self.cancelledEarly
    case .shutDown: throw HandlerCommand.unavailable("the function is shut down")
    }
  }

  /// Ends a turn. Keeps `child` for the next one if it is still good.
  private func release(_ child: ChildProcess?) {
    let kept = child.flatMap { $0.isUsable ? $0 : nil }
    if let child, kept == nil { state.withLock { $0.children[ObjectIdentifier(child)] = nil } }
    gate.leave(kept)
  }

  // MARK: Processes

  private func start() async throws(HandlerFailure) -> ChildProcess {
    if let instant = state.withLock({ $0.startNotBefore }), instant > .now {
      do {
        try await ContinuousClock().sleep(until: instant)
      } catch {
        throw Self.cancelledEarly
      }
    }
    let child = try await ChildProcess.start(command.resolved(), limits: limits, logger: logger)
    let isShutDown = state.withLock { state in
      if !state.isShutDown { state.children[ObjectIdentifier(child)] = child }
      return state.isShutDown
    }
    guard isShutDown else { return child }
    child.requestStop()
    await child.waitUntilGone()
    throw HandlerCommand.unavailable("the function is shut down")
  }

  private func noteEnd(of child: ChildProcess, isOurs: Bool) {
    let isBarren = !isOurs && !child.hasAnswered
    state.withLock { state in
      state.children[ObjectIdentifier(child)] = nil
      guard isBarren else { return }
      state.barrenEnds += 1
      state.startNotBefore = .now + limits.restartWait(after: state.barrenEnds)
    }
  }

  // MARK: Failures

  private static let cancelledEarly = HandlerFailure(
    kind: .throttled, type: "Cancelled", message: "cancelled before the handler was called")

  private static func failure(for end: ChildProcess.End) -> HandlerFailure {
    switch end.cause {
    case .untrusted(let reason):
      return HandlerFailure(kind: .invalidResponse, type: "InvalidResponse", message: reason, trace: end.trace)
    case .cancelled:
      return HandlerFailure(
        kind: .timedOut, type: "Sandbox.Timedout", message: "the handler was not done at its deadline and was stopped",
        trace: end.trace)
    case .byItself:
      guard let traceback = PythonTraceback(in: end.trace) else {
        return HandlerFailure(
          kind: .exited, type: "Runtime.ExitError", message: "the process ended with \(end.ending)", trace: end.trace)
      }
      let message = traceback.message.isEmpty ? "" : traceback.message + " "
      return HandlerFailure(
        kind: .exited, type: traceback.type, message: "\(message)(the process ended with \(end.ending))",
        trace: end.trace)
    }
  }
}
