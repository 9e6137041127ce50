import CoreMetrics
import Destinations
import LambdaRuntime
import Logging
import StreamModel

/// The processes of one function, whatever it speaks.
enum FunctionProcesses: Sendable {
  case lines(LineProcessPool)
  case lambda(FunctionPool)
  case http(HTTPFunctionPool)

  /// `former` are those that these take the place of. `restartsAtOnce`: no wait before the start of a process where those
  /// before it ended without an answer.
  init(
    _ function: FunctionConfiguration, after former: FunctionProcesses?, restartsAtOnce: Bool = false, logger: Logger
  ) {
    switch function.handlerProtocol {
    case .lines:
      var limits = LineProcessLimits()
      if restartsAtOnce { (limits.firstRestartWait, limits.longestRestartWait) = (.zero, .zero) }
      self = .lines(
        LineProcessPool(
          function.handlerCommand, concurrency: function.concurrency, limits: limits, logger: logger))
    case .lambda:
      let statistics = former?.statistics ?? FunctionStatistics()
      var limits = FunctionLimits()
      limits.memoryGroups = MemoryGroups.ofThisProcess
      if restartsAtOnce { (limits.firstRestartWait, limits.longestRestartWait) = (.zero, .zero) }
      self = .lambda(FunctionPool(function.functionSettings, limits: limits, statistics: statistics, logger: logger))
    case .http:
      let statistics = former?.statistics ?? FunctionStatistics()
      self = .http(HTTPFunctionPool(function.httpSettings, statistics: statistics, logger: logger))
    }
  }

  private var statistics: FunctionStatistics? {
    switch self {
    case .lines: nil
    case .lambda(let pool): pool.statistics
    case .http(let pool): pool.statistics
    }
  }

  /// What delivers the records of a mapping to these.
  func handler(of mapping: MappingConfiguration, namesEveryFailure: Bool, logger: Logger) -> any BatchHandler {
    if let async = mapping.asyncInvocation { return handler(of: async, mapping.function, logger) }
    let reportsItemFailures = mapping.reportsItemFailures
    return switch self {
    case .lines(let pool):
      LineProcessHandler(
        pool: pool, reportsItemFailures: reportsItemFailures, namesEveryFailure: namesEveryFailure,
        function: mapping.function)
    case .lambda(let pool):
      FunctionHandler(pool: pool, reportsItemFailures: reportsItemFailures, namesEveryFailure: namesEveryFailure)
    case .http(let pool):
      FunctionHandler(pool: pool, reportsItemFailures: reportsItemFailures, namesEveryFailure: namesEveryFailure)
    }
  }

  /// A handler to which each record is the event of one invocation.
  private func handler(of async: AsyncInvocation, _ function: String, _ logger: Logger) -> any BatchHandler {
    let pool: any FunctionInvoking
    switch self {
    case .lines: preconditionFailure("the configuration was checked: a function that reads lines is not invoked")
    case .lambda(let own): pool = own
    case .http(let own): pool = own
    }
    guard let destination = async.successDestination(of: function) else { return AsyncInvocationHandler(pool: pool) }
    return AsyncInvocationHandler(pool: pool) { requestID, event, result in
      do {
        try await destination.accept(requestID, event: event, result: result)
      } catch {
        let mapping = AsyncInvocation.name(for: function)
        Counter(label: "DestinationDeliveryFailures", dimensions: [("mapping", mapping)]).increment()
        logger.error(
          "what a function returned was not delivered, and is dropped",
          metadata: ["requestId": "\(requestID)", "destination": "\(async.onSuccess)", "error": "\(error)"])
      }
    }
  }

  /// Starts so many processes, or as many as may be at once, before somebody needs them. Where one cannot be started, whoever
  /// needs it is told.
  func prepare(_ count: Int) async {
    switch self {
    case .lines(let pool): await pool.prepare(count)
    case .lambda(let pool): await pool.prepare(count)
    case .http: return  // The service runs already.
    }
  }

  /// Why a process of the function does not come to its first event; `nil` if it does, or as far as anybody can see.
  func startFailure() async -> HandlerFailure? {
    switch self {
    case .lines(let pool): await pool.startFailure(within: .seconds(2))
    case .lambda(let pool): await pool.startFailure()
    case .http: nil
    }
  }

  func shutdown() async {
    switch self {
    case .lines(let pool): await pool.shutdown()
    case .lambda(let pool): await pool.shutdown()
    case .http(let pool): await pool.shutdown()
    }
  }

  func retire() async {
    switch self {
    case .lines(let pool): await pool.retire()
    case .lambda(let pool): await pool.retire()
    case .http(let pool): await pool.retire()
    }
  }
}

extension FunctionConfiguration {
  /// Whether processes of the other may go on working for this one.
  func makesSameProcesses(as other: FunctionConfiguration) -> Bool {
    var (left, right) = (texts, other.texts)
    // Functions that read lines do not watch their time themselves.
    if handlerProtocol == .lines {
      left["timeout"] = nil
      right["timeout"] = nil
    }
    return left == right
  }
}
