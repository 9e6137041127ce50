import Glibc
public import Logging
import StreamModel
import StreamStore

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
    let time = CalendarTime(WallTime.current()).withMilliseconds
    let sorted = values.sorted { $0.key < $1.key }
    var line = ""
    switch format {
    case .text:
      let level = event.level.rawValue
      line += time
      line += " "
      line += level
      line += String(repeating: " ", count: max(1, 9 - level.utf8.count))
      line += Self.escaped(event.message.description)
      for (key, value) in sorted { line += " \(key)=\(Self.quoted(value.description))" }
    case .json:
      line += #"{"time":"\#(time)","level":"\#(event.level.rawValue)","logger":\#(Self.json(label)),"message":"#
      line += Self.json(event.message.description)
      for (key, value) in sorted { line += ",\(Self.json(Self.memberName(key))):\(Self.json(value.description))" }
      line += "}"
    }
    write(line)
  }

  /// One write per line, so that lines of several threads do not mix.
  public static let writeToStandardError: @Sendable (String) -> Void = { line in
    var line = line
    line += "\n"
    line.withUTF8 { bytes in
      // What cannot be written is lost: a closed pipe or a full disk must not stop the worker.
      var rest = unsafe bytes[...]
      while !rest.isEmpty {
        let written = unsafe Glibc.write(STDERR_FILENO, UnsafeBufferPointer(rebasing: rest).baseAddress, rest.count)
        if written > 0 {
          unsafe rest = rest.dropFirst(written)
        } else if written == 0 || errno != EINTR {
          return
        }
      }
    }
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
  private static func escaped(_ text: String) -> String { escaping(text) { $0 < 0x20 } }

  private static func json(_ text: String) -> String {
    "\"\(escaping(text) { $0 < 0x20 || $0 == 0x22 || $0 == 0x5c })\""
  }

  /// The text with an escape for each of these bytes, all of them ASCII. What stands between them is taken as a whole: the
  /// lines of an invocation have tabs.
  private static func escaping(_ text: String, _ isSpecial: (UInt8) -> Bool) -> String {
    let bytes = text.utf8
    guard var next = bytes.firstIndex(where: isSpecial) else { return text }
    var result = ""
    result.reserveCapacity(bytes.count + 16)
    var start = bytes.startIndex
    while true {
      result += text[start..<next]
      result += escape(bytes[next])
      start = bytes.index(after: next)
      guard let following = bytes[start...].firstIndex(where: isSpecial) else { break }
      next = following
    }
    result += text[start...]
    return result
  }

  private static func escape(_ byte: UInt8) -> String {
    switch byte {
    case 0x22: return "\\\""
    case 0x5c: return "\\\\"
    case 0x0a: return "\\n"
    case 0x0d: return "\\r"
    case 0x09: return "\\t"
    default:
      let digits = String(byte, radix: 16)
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
