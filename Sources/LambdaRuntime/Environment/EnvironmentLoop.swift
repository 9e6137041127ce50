import Foundation
import Logging
import StreamModel

#if canImport(Glibc)
  import Glibc
#endif

/// What the thread of an ``ExecutionEnvironment`` does: it waits for bytes, requests and times, and moves them.
///
/// | stage | until |
/// | --- | --- |
/// | initializing | the first `next`, or the init timeout |
/// | idle | an event, or the idle time |
/// | running | a result, or the deadline |
/// | finishing | `next`, or the deadline that the invocation had |
/// | ending | the process is gone |
struct EnvironmentLoop {
  private let environment: ExecutionEnvironment
  private let settings: FunctionSettings
  private let limits: FunctionLimits
  private let statistics: FunctionStatistics
  private let lines: InvocationLines
  private let mayExpire: @Sendable (ExecutionEnvironment) -> Bool
  private let logger: Logger

  private let process: SpawnedProcess
  private let processEnd: Int32
  private let group: MemoryGroups.Group?
  private let startedAt: Int64
  private var server: RuntimeServer
  private var output: Int32?
  private var log: ErrorOutput
  private let mask: SecretMask
  private var memory: MemoryUse
  private var chunk = [UInt8](repeating: 0, count: 65_536)

  private var invocation: Invocation?
  /// The deadline of the invocation before, until the runtime asks for the next one.
  private var finishingDeadline: Int64?
  private var idleSince: Int64?
  private var initNanoseconds: Int64?
  private var memorySampledAt: Int64 = 0
  private var ending: Ending?
  private var hasEnded = false

  /// An event on its way.
  private struct Invocation {
    var call: ExecutionEnvironment.Call
    var number: UInt64
    var continuation: CheckedContinuation<ExecutionEnvironment.Exchange, Never>
    /// When the event was sent; `nil` while the runtime does not wait for it yet.
    var begunAt: Int64?
    var deadline: Int64?
  }

  /// The process is being ended, or ends.
  private struct Ending {
    var cause: Cause
    /// When SIGKILL is due; `nil` when it was sent, or is not needed.
    var killDue: Int64?
  }

  private enum Cause {
    /// It was told to, between invocations.
    case stopped
    case timedOut
    case initTimedOut
    case outOfMemory
    case cancelled
    case initError(HandlerFailure)
  }

  /// Starts the process on this thread. Throws ``HandlerFailure`` of kind `unavailable` if that is impossible.
  init(
    _ environment: ExecutionEnvironment, _ settings: FunctionSettings, _ limits: FunctionLimits,
    statistics: FunctionStatistics, logger: Logger, mayExpire: @escaping @Sendable (ExecutionEnvironment) -> Bool
  ) throws(HandlerFailure) {
    guard var server = RuntimeServer(responseByteLimit: limits.responseByteCount) else {
      throw HandlerCommand.unavailable(unsafe "cannot listen on 127.0.0.1: \(String(cString: strerror(errno)))")
    }
    var started: SpawnedProcess?
    let mask: SecretMask
    let group = limits.memoryGroups?.group(memoryBytes: Int64(settings.memorySize) << 20)
    do throws(HandlerFailure) {
      let directory = try settings.command.resolved().directory
      let resolved = try settings.command.resolved(
        defaults: EnvironmentVariables.defaults(settings),
        fixed: EnvironmentVariables.fixed(
          settings, runtimeAPI: "127.0.0.1:\(server.port)", directory: directory, logStream: Self.logStream(),
          isProvisioned: environment.isProvisioned),
        without: EnvironmentVariables.removed)
      mask = SecretMask(resolved.environment)
      started = try SpawnedProcess(resolved, .log, in: group)
    } catch {
      if let group { limits.memoryGroups?.remove(group) }
      server.close()
      throw error
    }
    guard let process = started, let processEnd = SystemCall.handle(of: process.pid) else {
      if let started {
        _ = kill(-started.pid, SIGKILL)
        _ = started.reap()
        close(started.output)
      }
      if let group { limits.memoryGroups?.remove(group) }
      server.close()
      throw HandlerCommand.unavailable("cannot watch the process: too many open files")
    }
    var logger = logger
    logger[metadataKey: "pid"] = "\(process.pid)"
    self.environment = environment
    self.settings = settings
    self.limits = limits
    self.statistics = statistics
    self.lines = InvocationLines(format: settings.logFormat)
    self.mayExpire = mayExpire
    self.logger = logger
    self.process = process
    self.processEnd = processEnd
    self.startedAt = SystemCall.now()
    self.server = server
    self.output = process.output
    self.log = ErrorOutput(logger: logger, mask: mask)
    self.mask = mask
    self.group = group
    self.memory = MemoryUse(of: process.pid, in: group)
    statistics.noteStart()
  }

  /// `2026/11/21/[$LATEST]` and 32 digits.
  private static func logStream() -> String {
    let day = Date().formatted(.iso8601.year().month().day().dateSeparator(.dash)).replacing("-", with: "/")
    let number = (UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max))
    let digits = [number.0, number.1].map { half in
      let text = String(half, radix: 16)
      return String(repeating: "0", count: 16 - text.count) + text
    }
    return "\(day)/[\(FunctionSettings.version)]\(digits.joined())"
  }

  /// Runs until the process is gone. Gives why it ended; `nil` if it was told to.
  mutating func run() -> HandlerFailure? {
    var handles: [pollfd] = []
    while !hasEnded {
      wait(&handles)
      takeRequests()
      readLog()
      serve(handles)
      let now = SystemCall.now()
      watchMemory(at: now)
      watchTime(at: now)
    }
    // It may have said its result just before it ended.
    handles.removeAll()
    server.appendHandles(to: &handles)
    for position in handles.indices { handles[position].revents = Int16(POLLIN) }
    serve(handles)
    return cleanUp()
  }

  private var isInitializing: Bool { server.session.state == .started }

  private mutating func wait(_ handles: inout [pollfd]) {
    handles.removeAll(keepingCapacity: true)
    handles.append(pollfd(fd: environment.wakeHandle, events: Int16(POLLIN), revents: 0))
    handles.append(pollfd(fd: processEnd, events: Int16(POLLIN), revents: 0))
    if let output { handles.append(pollfd(fd: output, events: Int16(POLLIN), revents: 0)) }
    server.appendHandles(to: &handles)
    let due = nextDue
    let timeout = due.map { max(0, $0 - SystemCall.now()) }
    SystemCall.wait(&handles, timeout: timeout)
    if handles[1].revents != 0 { hasEnded = true }
  }

  /// When something is to be done although nothing happens.
  private var nextDue: Int64? {
    var due: Int64?
    func consider(_ time: Int64?) {
      if let time { due = min(due ?? time, time) }
    }
    if let ending {
      consider(ending.killDue)
      return due
    }
    if isInitializing { consider(initDeadline) }
    consider(invocation?.deadline)
    consider(finishingDeadline)
    if invocation == nil, let idleSince { consider(idleSince + settings.idleTime.inNanoseconds) }
    if isAtWork { consider(memorySampledAt + limits.memorySampleInterval.inNanoseconds) }
    return due
  }

  private var isAtWork: Bool { isInitializing || invocation != nil || finishingDeadline != nil }

  private var initDeadline: Int64 {
    // Where the invocation includes it, the invocation's time is what counts.
    if let invocation, invocation.call.includesInit { return invocation.deadline ?? .max }
    return startedAt + limits.initTimeout.inNanoseconds
  }

  // MARK: Requests

  private mutating func takeRequests() {
    _ = SystemCall.read(environment.wakeHandle, into: &chunk)
    var taken: Invocation?
    let (cancelled, mustStop) = environment.withRequests { requests in
      if let continuation = requests.continuation {
        requests.continuation = nil
        var call = ExecutionEnvironment.Call()
        swap(&call, &requests.call)
        taken = Invocation(call: call, number: requests.callNumber, continuation: continuation)
      }
      return (requests.cancelledCallNumber, requests.stop)
    }
    if let taken { begin(taken) }
    if let invocation, cancelled == invocation.number { end(.cancelled) }
    if mustStop, invocation == nil { end(.stopped) }
  }

  private mutating func begin(_ invocation: Invocation) {
    guard ending == nil else {
      environment.noteUnusable()
      giveBack(invocation.call)
      invocation.continuation.resume(returning: .notSent)
      return
    }
    self.invocation = invocation
    idleSince = nil
    let deadline = startedAt + invocation.call.timeout
    if invocation.call.includesInit { self.invocation?.deadline = deadline }
    sendEvent()
  }

  /// Sends the event if the runtime waits for one.
  private mutating func sendEvent() {
    guard case .ready = server.session.state, var current = invocation, current.begunAt == nil else { return }
    invocation = nil
    let now = SystemCall.now()
    let deadline = current.deadline ?? now + current.call.timeout
    current.begunAt = now
    current.deadline = deadline
    InvocationHead.setDeadline(
      SystemCall.wallMilliseconds() + (deadline - now) / 1_000_000, at: current.call.places, in: &current.call.event)
    log.forget()
    log.requestID = current.call.requestID
    log.logOwn([lines.start(current.call.requestID)], at: now)
    if settings.logsEvents {
      let (call, lines, settings, limits, mask) = (current.call, lines, settings, limits, mask)
      log.log(Self.eventLine(call, lines, settings, limits, mask), at: now)
    }
    var event = EventBuffer()
    swap(&event, &current.call.event)
    invocation = current
    _ = server.begin(current.call.requestID, event)
    if let sent = server.takeSentEvent() { invocation?.call.event = sent }
  }

  private static func eventLine(
    _ call: ExecutionEnvironment.Call, _ lines: InvocationLines, _ settings: FunctionSettings, _ limits: FunctionLimits,
    _ mask: SecretMask
  ) -> String {
    let count = call.event.count - call.places.body
    guard count <= limits.loggedEventByteCount else {
      return lines.event(call.requestID, #"{"note":"an event of \#(count) bytes is too long for the log"}"#)
    }
    let redaction = EventRedaction(members: settings.redactedMembers)
    let text = unsafe call.event.withUnsafeBytes { unsafe redaction.text(of: $0.dropFirst(call.places.body)) }
    return lines.event(call.requestID, mask.masked(text))
  }

  /// The memory of an event is for the next one.
  private func giveBack(_ call: ExecutionEnvironment.Call) {
    environment.withRequests { requests in
      if requests.continuation == nil { requests.call.event = call.event }
    }
  }

  // MARK: The runtime

  private mutating func serve(_ handles: [pollfd]) {
    for occurrence in server.serve(handles) {
      switch occurrence {
      case .ready: becomeReady()
      case .result(.response(let bytes)): finish(.response(bytes), status: .success)
      case .result(.error(let error)):
        let failure = mask.masked(FunctionFailures.reported(error, fallback: "Function.Unknown"))
        finish(.failed(failure), status: .error(type: failure.type))
      case .initError(let error):
        end(.initError(mask.masked(FunctionFailures.reported(error, fallback: "Runtime.InitError"))))
      }
    }
    if let sent = server.takeSentEvent() { invocation?.call.event = sent }
  }

  private mutating func becomeReady() {
    let now = SystemCall.now()
    if !environment.isInitialized {
      initNanoseconds = now - startedAt
      statistics.noteInit(nanoseconds: now - startedAt)
      environment.noteInitialized()
    }
    finishingDeadline = nil
    log.requestID = ""
    idleSince = now
    sendEvent()
  }

  /// The runtime has given its result.
  private mutating func finish(_ exchange: ExecutionEnvironment.Exchange, status: InvocationLines.Report.Status) {
    guard let current = invocation, let begunAt = current.begunAt, ending == nil else { return }
    invocation = nil
    let now = SystemCall.now()
    finishingDeadline = current.deadline
    if now - memorySampledAt >= limits.memorySampleInterval.inNanoseconds {
      memory.samplePeak()
      memorySampledAt = now
    }
    let report = report(current, from: begunAt, to: now, status: status)
    giveBack(current.call)
    environment.noteAnswer()
    current.continuation.resume(returning: exchange)
    // What it wrote comes before what we say of it.
    readLog()
    logEnd(report, timeout: .nanoseconds(current.call.timeout), at: now)
    warn(of: report, timeout: current.call.timeout, at: now)
  }

  /// Of what would soon time out.
  private func warn(of report: InvocationLines.Report, timeout: Int64, at now: Int64) {
    guard Double(report.durationNanoseconds) > limits.warnedTimeoutShare * Double(timeout), statistics.mayWarn(at: now)
    else { return }
    logger.warning(
      "an invocation took \(report.durationNanoseconds * 100 / timeout) % of its timeout",
      metadata: [
        "requestId": "\(report.requestID)", "timeoutMilliseconds": "\(timeout / 1_000_000)",
        "durationMilliseconds": "\(report.durationNanoseconds / 1_000_000)",
      ])
  }

  private mutating func report(
    _ current: Invocation, from begunAt: Int64, to now: Int64, status: InvocationLines.Report.Status
  ) -> InvocationLines.Report {
    defer { initNanoseconds = nil }
    let report = InvocationLines.Report(
      requestID: current.call.requestID, durationNanoseconds: now - begunAt, memorySize: settings.memorySize,
      largestMemoryBytes: memory.largest, initNanoseconds: environment.isProvisioned ? nil : initNanoseconds,
      status: status)
    statistics.note(report)
    return report
  }

  private mutating func logEnd(_ report: InvocationLines.Report, timeout: Duration, at now: Int64) {
    log.logOwn(lines.end(report, timeout: timeout), at: now)
  }

  private mutating func readLog() {
    guard let output else { return }
    // A few chunks a turn: a flood must not keep the result waiting.
    for _ in 0..<4 {
      switch SystemCall.read(output, into: &chunk) {
      case .bytes(let count):
        log.take(chunk[..<count], at: SystemCall.now())
        if count < chunk.count { return }
      case .wouldBlock: return
      case .closed:
        close(output)
        self.output = nil
        return
      }
    }
  }

  // MARK: Watching

  private mutating func watchMemory(at now: Int64) {
    guard ending == nil, isAtWork, now - memorySampledAt >= limits.memorySampleInterval.inNanoseconds else { return }
    memorySampledAt = now
    if memory.sample() > Int64(settings.memorySize) << 20 { end(.outOfMemory) }
  }

  private mutating func watchTime(at now: Int64) {
    if let ending {
      guard let due = ending.killDue, now >= due else { return }
      signal(SIGKILL)
      self.ending?.killDue = nil
      return
    }
    if let deadline = invocation?.deadline, now >= deadline { return end(.timedOut) }
    if isInitializing, now >= initDeadline { return end(.initTimedOut) }
    // The result is given, but the runtime does not come back.
    if let deadline = finishingDeadline, now >= deadline { return end(.timedOut) }
    guard invocation == nil, finishingDeadline == nil, let idleSince,
      now >= idleSince + settings.idleTime.inNanoseconds
    else { return }
    if mayExpire(environment) { end(.stopped) } else { self.idleSince = now }
  }

  // MARK: The end

  private mutating func end(_ cause: Cause) {
    environment.noteUnusable()
    guard ending == nil else { return }
    let now = SystemCall.now()
    let grace = now + limits.shutdownGrace.inNanoseconds
    switch cause {
    case .stopped:
      ending = Ending(cause: cause, killDue: grace)
      signal(SIGTERM)
    case .initError:
      // It ends by itself.
      ending = Ending(cause: cause, killDue: grace)
    case .timedOut, .initTimedOut, .outOfMemory, .cancelled:
      ending = Ending(cause: cause, killDue: nil)
      signal(SIGKILL)
    }
  }

  /// To the whole group. Its id is ours until the process is reaped.
  private func signal(_ number: Int32) { _ = kill(-process.pid, number) }

  private mutating func cleanUp() -> HandlerFailure? {
    environment.noteUnusable()
    let now = SystemCall.now()
    // What it started goes with it.
    signal(SIGKILL)
    // Its last words: at most what the pipe holds, unless someone who left the group keeps writing.
    for _ in 0..<16 { readLog() }
    log.finish(at: now)
    let wasInitialized = environment.isInitialized
    server.close()
    if let output { close(output) }
    let exit = process.reap()
    close(processEnd)
    if ending == nil, memory.ranOutOfMemory { ending = Ending(cause: .outOfMemory) }
    if let group {
      memory.samplePeak()
      limits.memoryGroups?.remove(group)
    }
    let requestID = invocation?.call.requestID ?? ""
    let timeout = invocation.map { Duration.nanoseconds($0.call.timeout) } ?? settings.timeout
    let failure = failure(exit, requestID, timeout)
    logger.debug("an environment ended", metadata: ["ending": "\(exit)"])
    if !wasInitialized, let failure {
      statistics.noteInitFailure(failure)
      let status: InvocationLines.Report.Status =
        failure.type == "Sandbox.Timedout" ? .timeout : .error(type: failure.type)
      log.logOwn([lines.initReport(nanoseconds: now - startedAt, status: status)], at: now)
    }
    guard let current = invocation.take() else { return failure }
    guard let failure else {
      current.continuation.resume(returning: .notSent)
      return nil
    }
    if let begunAt = current.begunAt {
      let status: InvocationLines.Report.Status =
        failure.type == "Sandbox.Timedout" ? .timeout : .error(type: failure.type)
      let report = report(current, from: begunAt, to: now, status: status)
      // Before the caller goes on, who then waits for this environment no more, and may end the program.
      logEnd(report, timeout: .nanoseconds(current.call.timeout), at: now)
      current.continuation.resume(returning: .failed(failure))
    } else {
      current.continuation.resume(returning: wasInitialized ? .notSent : .initFailed(failure))
    }
    return failure
  }

  /// Why the process ended; `nil` if it was told to.
  private func failure(_ exit: ProcessEnding, _ requestID: String, _ timeout: Duration) -> HandlerFailure? {
    switch ending?.cause {
    case .stopped: nil
    case .timedOut, .initTimedOut:
      FunctionFailures.timedOut(requestID, timeout: timeout, trace: log.tail)
    case .outOfMemory: FunctionFailures.outOfMemory(requestID, trace: log.tail)
    case .cancelled: FunctionFailures.cancelled(requestID, trace: log.tail)
    case .initError(let failure): failure
    case nil: FunctionFailures.exited(requestID, exit, trace: log.tail)
    }
  }
}
