import Foundation
public import Logging

/// Writes each log event as one line: for people, or one JSON object for machines.
///
/// A message or value with line breaks stays on its line: they are escaped.
public struct LineLogHandler: LogHandler {
  public var metadata: Logger.Metadata = [:]
  public var logLevel: Logger.Level
  private let label: String
  private let format: LogFormat
  private let write: @Sendable (String) -> Void

  /// `write` gets each line without its end. It is called by whoever logs, at once from several threads.
  public init(
    label: String, level: Logger.Level = .info, format: LogFormat,
    write: @escaping @Sendable (String) -> Void = LineLogHandler.writeToStandardError
  ) {
    self.label = label
    self.logLevel = level
    self.format = format
    self.write = write
  }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) {
    var values = metadata
    if let own = event.metadata { values.merge(own) { $1 } }
    if let error = event.error { values["error"] = "\(error)" }
    let time = Date.now.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    let sorted = values.sorted { $0.key < $1.key }
    switch format {
    case .text:
      let level = event.level.rawValue.padding(toLength: 8, withPad: " ", startingAt: 0)
      let pairs = sorted.map { " \($0.key)=\(Self.quoted($0.value.description))" }.joined()
      write("\(time) \(level) \(Self.escaped(event.message.description))\(pairs)")
    case .json:
      let head: [(String, String)] = [
        ("time", time), ("level", event.level.rawValue), ("logger", label), ("message", event.message.description),
      ]
      let members = head + sorted.map { (Self.memberName($0.key), $0.value.description) }
      write("{" + members.map { "\(Self.json($0.0)):\(Self.json($0.1))" }.joined(separator: ",") + "}")
    }
  }

  /// One write per line, so that lines of several threads do not mix.
  public static let writeToStandardError: @Sendable (String) -> Void = { line in
    FileHandle.standardError.write(Data((line + "\n").utf8))
  }

  /// A value must not pass for a member that every line has.
  private static func memberName(_ key: String) -> String {
    ["time", "level", "logger", "message"].contains(key) ? key + "_" : key
  }

  /// A value without blanks stands as it is.
  private static func quoted(_ text: String) -> String {
    let isPlain = !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 && $0 != 0x3d && $0 != 0x7f }
    return isPlain ? text : json(text)
  }

  /// Control characters as in JSON, everything else as it is.
  private static func escaped(_ text: String) -> String {
    guard text.utf8.contains(where: { $0 < 0x20 }) else { return text }
    return String(text.unicodeScalars.map { $0.value < 0x20 ? escape($0) : String($0) }.joined())
  }

  private static func json(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\\(scalar)"
      case _ where scalar.value < 0x20: result += escape(scalar)
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  private static func escape(_ scalar: Unicode.Scalar) -> String {
    switch scalar {
    case "\n": return "\\n"
    case "\r": return "\\r"
    case "\t": return "\\t"
    default:
      let digits = String(scalar.value, radix: 16)
      return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }
  }
}

extension LogConfiguration {
  /// A handler for `LoggingSystem.bootstrap`.
  public func makeHandler(label: String) -> LineLogHandler {
    LineLogHandler(label: label, level: Logger.Level(rawValue: level.rawValue) ?? .info, format: format)
  }
}
