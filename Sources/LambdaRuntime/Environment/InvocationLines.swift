import StreamModel

/// The lines that Lambda writes about an invocation, as text or as JSON.
struct InvocationLines {
  let format: FunctionSettings.LogFormat

  /// How an invocation ended.
  struct Report: Hashable, Sendable {
    var requestID: String
    var durationNanoseconds: Int64
    /// In MiB; 0 where the memory is not ours to see.
    var memorySize: Int
    var largestMemoryBytes: Int64
    /// Of the first invocation of an environment that was started for it.
    var initNanoseconds: Int64?
    var status = Status.success
    /// `success`, `error` with a type, or `timeout`.
    enum Status: Hashable, Sendable {
      case success
      case error(type: String)
      case timeout
    }
  }

  func start(_ requestID: String) -> String {
    switch format {
    case .text: "START RequestId: \(requestID) Version: \(FunctionSettings.version)"
    case .json:
      object(
        "platform.start",
        #""requestId":"\#(requestID)","version":"\#(FunctionSettings.version)""#)
    }
  }

  /// The event as the function gets it, up to a length.
  func event(_ requestID: String, _ text: String) -> String {
    switch format {
    case .text: "EVENT \(text)"
    case .json: object("sluice.event", #""requestId":"\#(requestID)","event":\#(text)"#)
    }
  }

  /// What ends an invocation, in order.
  func end(_ report: Report, timeout: Duration) -> [String] {
    switch format {
    case .text:
      var lines: [String] = []
      if report.status == .timeout {
        lines.append("\(Self.time()) \(report.requestID) \(FunctionFailures.timeoutText(timeout))")
      }
      return lines + ["END RequestId: \(report.requestID)", text(report)]
    case .json:
      return [json(report)]
    }
  }

  /// An environment that could not be initialized.
  func initReport(nanoseconds: Int64, status: Report.Status) -> String {
    let duration = Self.milliseconds(nanoseconds)
    switch format {
    case .text: return "INIT_REPORT Init Duration: \(duration) ms\tPhase: init\tStatus: \(Self.text(status))"
    case .json:
      return object(
        "platform.initReport",
        #""phase":"init","status":"\#(Self.name(status))","metrics":{"durationMs":\#(duration)}\#(Self.errorType(status))"#
      )
    }
  }

  private func text(_ report: Report) -> String {
    var line = "REPORT RequestId: \(report.requestID)\tDuration: \(Self.milliseconds(report.durationNanoseconds)) ms"
    line += "\tBilled Duration: \(Self.billed(report)) ms\t"
    if report.memorySize > 0 {
      line += "Memory Size: \(report.memorySize) MB\tMax Memory Used: \(Self.megabytes(report.largestMemoryBytes)) MB\t"
    }
    if let nanoseconds = report.initNanoseconds { line += "Init Duration: \(Self.milliseconds(nanoseconds)) ms\t" }
    if report.status != .success { line += "Status: \(Self.text(report.status))" }
    return line
  }

  private func json(_ report: Report) -> String {
    var metrics =
      #""durationMs":\#(Self.milliseconds(report.durationNanoseconds)),"billedDurationMs":\#(Self.billed(report))"#
    if report.memorySize > 0 {
      metrics +=
        #","memorySizeMB":\#(report.memorySize),"maxMemoryUsedMB":\#(Self.megabytes(report.largestMemoryBytes))"#
    }
    if let nanoseconds = report.initNanoseconds { metrics += #","initDurationMs":\#(Self.milliseconds(nanoseconds))"# }
    return object(
      "platform.report",
      #""requestId":"\#(report.requestID)","metrics":{\#(metrics)},"status":"\#(Self.name(report.status))"\#(Self.errorType(report.status))"#
    )
  }

  private func object(_ type: String, _ record: String) -> String {
    #"{"time":"\#(Self.time())","type":"\#(type)","record":{\#(record)}}"#
  }

  private static func name(_ status: Report.Status) -> String {
    switch status {
    case .success: "success"
    case .error: "error"
    case .timeout: "timeout"
    }
  }

  private static func text(_ status: Report.Status) -> String {
    guard case .error(let type) = status else { return name(status) }
    return "error\tError Type: \(type)"
  }

  private static func errorType(_ status: Report.Status) -> String {
    guard case .error(let type) = status else { return "" }
    return #","errorType":"\#(JSONText.escaped(type))""#
  }

  /// With two digits of fraction.
  private static func milliseconds(_ nanoseconds: Int64) -> String {
    FunctionFailures.hundredths(nanoseconds / 10_000)
  }

  /// Whole milliseconds, rounded up.
  private static func billed(_ report: Report) -> Int64 { (report.durationNanoseconds + 999_999) / 1_000_000 }

  private static func megabytes(_ bytes: Int64) -> Int64 { (bytes + (1 << 20) - 1) >> 20 }

  private static func time() -> String {
    CalendarTime(WallTime(milliseconds: SystemCall.wallMilliseconds())).withMilliseconds
  }
}
