import LambdaRuntime
import Logging

/// What concerns one function goes to the log of the process, and to the function's own file whatever the level of the
/// former is.
struct FunctionLogHandler: LogHandler {
  private var base: any LogHandler
  private let file: FunctionLogFile

  init(base: any LogHandler, file: FunctionLogFile) {
    self.base = base
    self.file = file
  }

  var metadata: Logger.Metadata {
    get { base.metadata }
    set { base.metadata = newValue }
  }

  var logLevel: Logger.Level {
    get { min(base.logLevel, .info) }
    set { base.logLevel = newValue }
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { base[metadataKey: key] }
    set { base[metadataKey: key] = newValue }
  }

  func log(event: LogEvent) {
    if event.level >= base.logLevel { base.log(event: event) }
    guard event.level >= .info else { return }
    var text = event.message.description
    var requestID = ""
    for (key, value) in (event.metadata ?? [:]).sorted(by: { $0.key < $1.key }) {
      if key == "requestId" { requestID = value.description } else { text += " \(key)=\(value)" }
    }
    file.append(text, requestID: requestID)
  }
}

extension Logger {
  /// For the processes of a function, of a store in `directory`.
  func forFunction(_ name: String, inStore directory: String) -> Logger {
    let file = FunctionLogFile(path: FunctionLogFile.path(of: name, inStore: directory))
    let base = handler
    var logger = Logger(label: label) { _ in FunctionLogHandler(base: base, file: file) }
    logger[metadataKey: "function"] = "\(name)"
    return logger
  }
}
