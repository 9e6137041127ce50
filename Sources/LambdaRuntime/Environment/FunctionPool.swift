import Locks
public import Logging
public import StreamModel

/// The execution environments of one function that speaks the Runtime API.
///
/// Environments are started when they are needed, up to the function's concurrency; beyond it callers wait, in turn among
/// the mappings that share the function, and after a while they are throttled. An environment that a function's
/// error leaves intact is used again; one that times out, uses too much memory, exits or is cancelled is replaced. One
/// that waits too long for work is ended. Where one could not be initialized, it is started once more for the invocation
/// that waits for it, and then the next start waits, longer each time.
///
/// Each process leads a session of its own and everything in its group is killed with it, also if this process is killed
/// outright (``ProcessGuard``).
public final class FunctionPool: Sendable {
  public let settings: FunctionSettings
  public let statistics: FunctionStatistics
  private let limits: FunctionLimits
  private let logger: Logger
  private let head: InvocationHead
  /// Keeps the environments that wait for an event. May be called under the lock of `state`.
  private let gate: TurnGate<ExecutionEnvironment>
  private let state = Mutex(State())

  private struct State {
    /// Everything that has been started and may still run.
    var environments: [ObjectIdentifier: ExecutionEnvironment] = [:]
    var isShutDown = false
    /// Processes in a row that could not be initialized.
    var failedStarts = 0
    var startNotBefore: ContinuousClock.Instant?
    /// The task that starts what is provisioned.
    var provisioning: Task<Void, Never>?
  }

  /// `statistics` go on from those of a pool that this one takes the place of.
  public init(
    _ settings: FunctionSettings, limits: FunctionLimits = FunctionLimits(),
    statistics: FunctionStatistics = FunctionStatistics(), logger: Logger
  ) {
    precondition(settings.provisioned <= settings.concurrency, "provisioned environments count as all others")
    self.settings = settings
    self.statistics = statistics
    self.limits = limits
    self.logger = logger
    self.head = InvocationHead(functionARN: settings.invokedARN)
    self.gate = TurnGate(permits: settings.concurrency, throttleAfter: limits.throttleAfter)
    provision()
  }

  deinit {
    let (environments, task) = state.withLock { (Array($0.environments.values), $0.provisioning) }
    task?.cancel()
    for environment in environments { environment.requestStop() }
  }

  /// What the invocation gave: the response as the runtime sent it.
  ///
  /// `encode` appends the event; `lineage` is that of its records, and what the invocation puts has one more. Where several
  /// share the function, `caller` is told apart from the others. Throws ``HandlerFailure`` with Lambda's names: `error` when the function raised,
  /// `timedOut`, `exited` when its process ended, `throttled` when there was no environment for it, and `unavailable`
  /// when none can be started. Returns only when nothing works on the event any more.
  public func invoke(
    _ requestID: String, lineage: Lineage = .none, for caller: ObjectIdentifier? = nil,
    _ encode: (inout EventBuffer) -> Void
  ) async throws(HandlerFailure) -> [UInt8] {
    var idle = try await enter(for: caller)
    var failedInits = 0
    let timeout = currentTimeout
    while true {
      let current: ExecutionEnvironment
      if let found = idle {
        current = found
        idle = nil
      } else {
        do throws(HandlerFailure) {
          current = try await start(isProvisioned: false, sharing: failedInits > 0 ? timeout : nil)
        } catch {
          release(nil)
          throw error
        }
      }
      let exchange = await current.exchange { call in
        call.requestID = requestID
        call.timeout = timeout.inNanoseconds
        call.includesInit = failedInits > 0
        let traceID = TraceID.make(
          for: requestID, atSecond: SystemCall.wallMilliseconds() / 1_000,
          lineage: lineage.next.member(of: settings.name))
        call.places = head.write(requestID, traceID: traceID, into: &call.event, event: encode)
      }
      switch await withInitFailure(exchange, of: current, requestID) {
      case .response(let response):
        release(current)
        return response
      case .failed(let failure):
        release(current)
        throw failure
      case .initFailed(let failure):
        noteFailedStart(of: current)
        failedInits += 1
        guard failedInits == 2 || failure.type == "Sandbox.Failure" else { continue }
        release(nil)
        throw failure
      case .notSent:
        if current.isUsable || Task.isCancelled {
          release(current)
          throw FunctionFailures.cancelledEarly
        }
        // One that waited for an event may go at any time, and the event gets another one.
        forget(current)
      }
    }
  }

  /// A new process may be gone before its first event is handed over.
  private func withInitFailure(
    _ exchange: ExecutionEnvironment.Exchange, of environment: ExecutionEnvironment, _ requestID: String
  ) async -> ExecutionEnvironment.Exchange {
    guard case .notSent = exchange, !environment.isUsable, !environment.isInitialized, !Task.isCancelled,
      var failure = await environment.failure()
    else { return exchange }
    failure.message = failure.message.replacing(
      FunctionFailures.start(of: ""), with: FunctionFailures.start(of: requestID), maxReplacements: 1)
    return .initFailed(failure)
  }

  /// Starts environments until there are so many, or as many as may be at once, and returns when each of them waits for an
  /// event: for callers whose first invocations are not to wait for that. Where one cannot be started or initialized, no
  /// more are: the invocation that needs one tries again, and its failure tells why.
  public func prepare(_ count: Int) async {
    let wanted = min(count, settings.concurrency)
    for environment in state.withLock({ Array($0.environments.values) }) {
      _ = await environment.waitUntilInitialized()
    }
    // One first: what does not start is not started many times.
    guard environmentCount < wanted, await prepareOne() else { return }
    let missing = wanted - environmentCount
    guard missing > 0 else { return }
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<missing { group.addTask { _ = await self.prepareOne() } }
    }
  }

  private func prepareOne() async -> Bool {
    do {
      let environment = try await start(isProvisioned: false)
      guard await environment.waitUntilInitialized() else {
        forget(environment)
        return false
      }
      add(environment)
      return true
    } catch {
      logger.debug("no environment could be started ahead", metadata: ["message": "\(error.message)"])
      return false
    }
  }

  /// Why an environment of the function cannot be initialized: starts one for nothing else. `nil` if it can.
  public func startFailure() async -> HandlerFailure? {
    let environment: ExecutionEnvironment
    do throws(HandlerFailure) {
      environment = try await ExecutionEnvironment.start(
        settings, limits, isProvisioned: false, statistics: FunctionStatistics(), logger: logger,
        keeper: .init(mayExpire: { _ in true }, didEnd: { _, _ in }))
    } catch {
      return error
    }
    let isInitialized = await environment.waitUntilInitialized()
    environment.requestStop()
    let failure = await environment.failure()
    return isInitialized ? nil : failure
  }

  /// Lets running invocations finish, then ends all processes: SIGTERM, and after a while SIGKILL. Returns when all are
  /// gone. Calls that wait, and later ones, fail as `unavailable`. Calling it twice is fine.
  public func shutdown() async {
    let (environments, task) = state.withLock { state in
      state.isShutDown = true
      defer { state.provisioning = nil }
      return (Array(state.environments.values), state.provisioning)
    }
    gate.shutDown()
    task?.cancel()
    for environment in environments { environment.requestStop() }
    for environment in environments { await environment.waitUntilGone() }
    await task?.value
    state.withLock { $0.environments = [:] }
  }

  /// As ``shutdown()``, when all calls have ended that run or wait now. For a pool that another has taken the place of.
  public func retire() async {
    await gate.waitUntilFree()
    await shutdown()
  }

  /// How long the next invocation may take.
  public var currentTimeout: Duration { settings.adaptiveTimeout.map { statistics.timeout($0) } ?? settings.timeout }

  /// Whether the kernel sees to the memory of environments, and not just we.
  public var hasMemoryGroups: Bool { limits.memoryGroups != nil }

  /// Environments that run, or are being started.
  public var environmentCount: Int { state.withLock { $0.environments.count } }

  /// Callers that wait for an environment.
  public var waitingCount: Int { gate.waitingCount }

  // MARK: Turns

  private func enter(for caller: ObjectIdentifier?) async throws(HandlerFailure) -> ExecutionEnvironment? {
    switch await gate.enter(for: caller) {
    case .granted(let environment): return environment
    case .cancelled: throw FunctionFailures.cancelledEarly
    case .shutDown: throw FunctionFailures.shutDown()
    case .throttled:
      statistics.noteThrottle()
      throw FunctionFailures.throttled()
    }
  }

  /// Ends a turn. Keeps the environment for the next one if it is still good.
  private func release(_ environment: ExecutionEnvironment?) {
    let kept = environment.flatMap { $0.isUsable ? $0 : nil }
    state.withLock { state in
      if let environment, kept == nil { state.environments[ObjectIdentifier(environment)] = nil }
      if kept != nil { state.failedStarts = 0 }
    }
    gate.leave(kept)
    if environment != nil, kept == nil { provision() }
  }

  // MARK: Environments

  /// - Parameter time: the time of the invocation that the initialization is a part of, where it is.
  private func start(
    isProvisioned: Bool, sharing time: Duration? = nil
  ) async throws(HandlerFailure) -> ExecutionEnvironment {
    if let instant = state.withLock({ $0.startNotBefore }), instant > .now {
      do {
        try await ContinuousClock().sleep(until: instant)
      } catch {
        throw FunctionFailures.cancelledEarly
      }
    }
    var limits = limits
    if let time { limits.initTimeout = time }
    let environment: ExecutionEnvironment
    do {
      environment = try await ExecutionEnvironment.start(
        settings, limits, isProvisioned: isProvisioned, statistics: statistics, logger: logger,
        keeper: .init(
          mayExpire: { [weak self] in self?.mayExpire($0) ?? true },
          didEnd: { [weak self] in self?.noteEnd(of: $0, $1) }))
    } catch {
      noteFailedStart(of: nil)
      throw error
    }
    let isShutDown = state.withLock { state in
      if !state.isShutDown { state.environments[ObjectIdentifier(environment)] = environment }
      return state.isShutDown
    }
    guard isShutDown else { return environment }
    environment.requestStop()
    await environment.waitUntilGone()
    throw FunctionFailures.shutDown()
  }

  private func forget(_ environment: ExecutionEnvironment) {
    state.withLock { $0.environments[ObjectIdentifier(environment)] = nil }
    _ = gate.remove(environment)
    provision()
  }

  private func noteFailedStart(of environment: ExecutionEnvironment?) {
    state.withLock { state in
      if let environment { state.environments[ObjectIdentifier(environment)] = nil }
      state.failedStarts += 1
      // The second try of an invocation comes at once.
      guard state.failedStarts > 1 else { return }
      state.startNotBefore = .now + limits.restartWait(after: state.failedStarts - 1)
    }
  }

  /// An environment is gone. One that went while it waited is missed by nobody else.
  private func noteEnd(of environment: ExecutionEnvironment, _ failure: HandlerFailure?) {
    guard gate.remove(environment) else { return }
    state.withLock { $0.environments[ObjectIdentifier(environment)] = nil }
    // What cannot even wait would be started again and again.
    if failure != nil, !environment.hasAnswered { noteFailedStart(of: nil) }
    provision()
  }

  /// Whether an environment that has waited for the idle time may go; if so nobody takes it any more.
  private func mayExpire(_ environment: ExecutionEnvironment) -> Bool {
    state.withLock { state in
      guard state.environments.count > settings.provisioned, gate.remove(environment) else { return false }
      state.environments[ObjectIdentifier(environment)] = nil
      return true
    }
  }

  // MARK: Provisioned concurrency

  /// Sees to it that the provisioned environments are there, now and after one has ended.
  private func provision() {
    guard settings.provisioned > 0 else { return }
    state.withLock { state in
      guard !state.isShutDown, state.provisioning == nil, state.environments.count < settings.provisioned else {
        return
      }
      state.provisioning = Task { [weak self] in
        while !Task.isCancelled, await self?.provisionOne() ?? false {}
        self?.endProvisioning()
      }
    }
  }

  /// False when all are there.
  private func provisionOne() async -> Bool {
    guard state.withLock({ !$0.isShutDown && $0.environments.count < settings.provisioned }) else { return false }
    do {
      let environment = try await start(isProvisioned: true)
      guard await environment.waitUntilInitialized() else {
        if let failure = await environment.failure() {
          logger.warning(
            "a provisioned environment could not be initialized",
            metadata: ["type": "\(failure.type)", "message": "\(failure.message)"])
        }
        noteFailedStart(of: environment)
        return true
      }
      add(environment)
    } catch {
      guard error.kind == .unavailable, !state.withLock({ $0.isShutDown }) else { return false }
      logger.warning("a provisioned environment could not be started", metadata: ["message": "\(error.message)"])
    }
    return true
  }

  /// A new environment is for whoever waits longest, if it may run.
  private func add(_ environment: ExecutionEnvironment) {
    state.withLock { $0.failedStarts = 0 }
    gate.keep(environment)
  }

  private func endProvisioning() {
    state.withLock { $0.provisioning = nil }
    // One may have ended meanwhile.
    if state.withLock({ !$0.isShutDown && $0.environments.count < settings.provisioned }) { provision() }
  }
}
