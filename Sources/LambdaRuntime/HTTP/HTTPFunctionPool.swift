import AsyncHTTPClient
import Foundation
import Locks
public import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
public import StreamModel

/// What a function behind a URL is.
public struct HTTPFunctionSettings: Hashable, Sendable {
  /// 1 … 128 characters.
  public var name: String
  /// `http://` or `https://`
  public var url: String
  /// How long an invocation may take, to the last byte of its answer; 1 ms … 15 min.
  public var timeout = Duration.seconds(30)
  /// Requests at once at most.
  public var concurrency = 1
  /// Signs each request.
  public var signature: WebhookSignature?
  public var logFormat = FunctionSettings.LogFormat.text
  public var identity = EventIdentity()

  public init(name: String, url: String) {
    self.name = name
    self.url = url
  }
}

/// A function that is a service: each event is posted to a URL, as `application/json`, over connections that are kept.
///
/// | answer | meaning |
/// | --- | --- |
/// | 2xx | the response is its body |
/// | 429, 503 | throttled: uses up no attempt; with `Retry-After` nothing is posted before that, for 5 min at most |
/// | no connection | unavailable: uses up no attempt |
/// | none in time | `Sandbox.Timedout` |
/// | anything else, also a redirect | an error; of an error object in its body the type, message and trace are taken |
///
/// When an invocation times out or is cancelled the connection is closed; what the service does then is its own business.
public final class HTTPFunctionPool: Sendable {
  public let settings: HTTPFunctionSettings
  public let statistics: FunctionStatistics
  private let limits: FunctionLimits
  private let gate: TurnGate<Never>
  private let lines: InvocationLines
  private let log: Mutex<ErrorOutput>
  private let rest = Mutex(ServiceRest())

  /// Its connections are limited by `concurrency`, not by the host that they lead to.
  private static let client: HTTPClient = {
    var configuration = HTTPClient.Configuration(
      redirectConfiguration: .disallow, timeout: .init(connect: .seconds(5)))
    configuration.connectionPool.retryConnectionEstablishment = false
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1_000
    return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }()

  /// What of an answer's body goes into the message of a failure, in bytes.
  static let excerptByteLimit = 500

  /// `statistics` go on from those of a pool that this one takes the place of.
  public init(
    _ settings: HTTPFunctionSettings, limits: FunctionLimits = FunctionLimits(),
    statistics: FunctionStatistics = FunctionStatistics(), logger: Logger
  ) {
    self.settings = settings
    self.limits = limits
    self.statistics = statistics
    self.gate = TurnGate(permits: settings.concurrency, throttleAfter: limits.throttleAfter)
    self.lines = InvocationLines(format: settings.logFormat)
    self.log = Mutex(ErrorOutput(logger: logger, mask: SecretMask([])))
  }

  /// Posts the event that `encode` appends, and gives the body of the answer. Throws ``HandlerFailure``.
  public func invoke(
    _ requestID: String, lineage: Lineage = .none, for caller: ObjectIdentifier? = nil,
    _ encode: (inout EventBuffer) -> Void
  ) async throws(HandlerFailure) -> [UInt8] {
    try await enter(for: caller)
    defer { gate.leave() }
    var event = EventBuffer()
    encode(&event)
    let request = request(requestID, lineage, event)
    let begunAt = SystemCall.now()
    log(requestID) { [$0.start(requestID)] }
    let result = await answer(to: request, requestID)
    report(result, requestID, since: begunAt)
    return try result.get()
  }

  /// Lets running invocations finish. Calls that wait, and later ones, fail as `unavailable`.
  public func shutdown() async {
    gate.shutDown()
    await gate.waitUntilFree()
  }

  /// As ``shutdown()``, when all calls have ended that run or wait now.
  public func retire() async {
    await gate.waitUntilFree()
    gate.shutDown()
  }

  /// Requests that run now.
  public var runningCount: Int { gate.takenCount }

  /// Waits for a turn at a time when the service may be called.
  private func enter(for caller: ObjectIdentifier?) async throws(HandlerFailure) {
    while true {
      try await waitForRest()
      switch await gate.enter(for: caller) {
      case .granted: break
      case .cancelled: throw FunctionFailures.cancelledEarly
      case .shutDown: throw FunctionFailures.shutDown()
      case .throttled:
        statistics.noteThrottle()
        throw FunctionFailures.throttled()
      }
      // Those who waited for their turn learn here what was said to one before them.
      if rest.withLock({ $0.left(at: SystemCall.now()) }) <= .zero { return }
      gate.leave()
    }
  }

  /// A service that asked to be left alone is, and who cannot wait so long is throttled.
  private func waitForRest() async throws(HandlerFailure) {
    let left = rest.withLock { $0.left(at: SystemCall.now()) }
    guard left > .zero else { return }
    guard left <= limits.throttleAfter else {
      statistics.noteThrottle()
      let seconds = (left.inNanoseconds + 999_999_999) / 1_000_000_000
      throw HandlerFailure(
        kind: .throttled, type: "TooManyRequestsException",
        message: "The service asked to be left alone for \(seconds) s more: it was not called.")
    }
    do {
      try await ContinuousClock().sleep(for: left)
    } catch {
      throw FunctionFailures.cancelledEarly
    }
  }

  // MARK: One request

  private func request(_ requestID: String, _ lineage: Lineage, _ event: EventBuffer) -> HTTPClientRequest {
    let body = unsafe event.withUnsafeBytes { unsafe Array($0) }
    var request = HTTPClientRequest(url: settings.url)
    request.method = .POST
    let wall = SystemCall.wallMilliseconds()
    request.headers = [
      "content-type": "application/json", "user-agent": "sluice", "sluice-function": settings.name,
      "sluice-request-id": requestID,
      "sluice-deadline-ms": "\(wall + settings.timeout.inNanoseconds / 1_000_000)",
      "x-amzn-trace-id": TraceID.make(
        for: requestID, atSecond: wall / 1_000, lineage: lineage.next.member(of: settings.name)),
    ]
    for (name, value) in settings.signature?.headers(id: requestID, second: wall / 1_000, body: body) ?? [] {
      request.headers.add(name: name, value: value)
    }
    request.body = .bytes(ByteBuffer(bytes: body))
    return request
  }

  /// What came of it by the deadline.
  private func answer(to request: HTTPClientRequest, _ requestID: String) async -> Result<[UInt8], HandlerFailure> {
    let timeout = settings.timeout
    return await withTaskGroup(of: Result<[UInt8], HandlerFailure>?.self) { group in
      group.addTask { await self.exchange(request, requestID, timeout) }
      group.addTask {
        do {
          try await ContinuousClock().sleep(for: timeout)
        } catch {
          return nil
        }
        return .failure(FunctionFailures.timedOut(requestID, timeout: timeout, trace: []))
      }
      var first: Result<[UInt8], HandlerFailure>?
      while first == nil, let next = await group.next() { first = next }
      group.cancelAll()
      return first ?? .failure(FunctionFailures.cancelled(requestID, trace: []))
    }
  }

  private func exchange(
    _ request: HTTPClientRequest, _ requestID: String, _ timeout: Duration
  ) async -> Result<[UInt8], HandlerFailure> {
    do {
      let response = try await Self.client.execute(
        request, timeout: .nanoseconds(timeout.inNanoseconds + 1_000_000_000))
      var body: [UInt8] = []
      for try await part in response.body {
        body.append(contentsOf: part.readableBytesView)
        guard body.count <= limits.responseByteCount else {
          return .failure(FunctionFailures.responseTooLarge(limits.responseByteCount))
        }
      }
      if (200..<300).contains(response.status.code) { return .success(body) }
      let failure = Self.failure(response.status, body)
      if failure.kind == .throttled, let wait = response.headers.first(name: "retry-after").flatMap(ServiceRest.wait) {
        rest.withLock { $0.begin(wait, at: SystemCall.now()) }
      }
      return .failure(failure)
    } catch is CancellationError {
      return .failure(FunctionFailures.cancelled(requestID, trace: []))
    } catch let error as HTTPClientError where error == .deadlineExceeded {
      // The client's own clock came first.
      return .failure(FunctionFailures.timedOut(requestID, timeout: timeout, trace: []))
    } catch {
      return .failure(Self.failure(error))
    }
  }

  private static func failure(_ status: HTTPResponseStatus, _ body: [UInt8]) -> HandlerFailure {
    let excerpt = String(decoding: body.prefix(excerptByteLimit), as: UTF8.self)
    let said = "The service answered \(status.code)\(excerpt.isEmpty ? "" : ": \(excerpt)")"
    if status.code == 429 || status.code == 503 {
      return HandlerFailure(kind: .throttled, type: "TooManyRequestsException", message: said)
    }
    let reported = FunctionFailures.reported(.init(type: nil, body: body), fallback: "")
    if !reported.type.isEmpty { return reported }
    return HandlerFailure(kind: .error, type: "HTTP.\(status.code)", message: said)
  }

  /// Only when there never was a connection it is certain that the service has not seen the event.
  private static func failure(_ error: any Error) -> HandlerFailure {
    let known = error as? HTTPClientError
    if known == .cancelled { return FunctionFailures.cancelled("", trace: []) }
    let refusals = [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH]
    let isRefused = (error as? IOError).map { refusals.contains($0.errnoCode) } ?? (error is NIOConnectionError)
    if isRefused || known == .connectTimeout || known == .getConnectionFromPoolTimeout {
      // What the error says of itself is about a connection that was reset.
      let reason = (error as? IOError).map { unsafe String(cString: strerror($0.errnoCode)) } ?? "\(error)"
      return HandlerFailure(
        kind: .unavailable, type: "HTTP.NoConnection", message: "The service cannot be reached: \(reason)")
    }
    return HandlerFailure(
      kind: .error, type: "HTTP.NoAnswer", message: "The connection ended without an answer: \(error)")
  }

  // MARK: What is told

  private func report(_ result: Result<[UInt8], HandlerFailure>, _ requestID: String, since begunAt: Int64) {
    let now = SystemCall.now()
    var status = InvocationLines.Report.Status.success
    var kind: FailureKind?
    if case .failure(let failure) = result {
      kind = failure.kind
      status = failure.type == "Sandbox.Timedout" ? .timeout : .error(type: failure.type)
    }
    let report = InvocationLines.Report(
      requestID: requestID, durationNanoseconds: now - begunAt, memorySize: 0, largestMemoryBytes: 0, status: status)
    if kind == .throttled { statistics.noteThrottle() } else { statistics.note(report) }
    log(requestID) { $0.end(report, timeout: self.settings.timeout) }
  }

  private func log(_ requestID: String, _ make: (InvocationLines) -> [String]) {
    let made = make(lines)
    log.withLock { log in
      log.requestID = requestID
      log.logOwn(made, at: SystemCall.now())
    }
  }
}
