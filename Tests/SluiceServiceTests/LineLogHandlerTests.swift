import Foundation
import Logging
import SluiceService
import Synchronization
import Testing

@Suite("Log lines")
struct LineLogHandlerTests {
  private final class Lines: Sendable {
    let all = Mutex<[String]>([])
  }

  private func lines(_ format: LogFormat, _ body: (inout Logger) -> Void) -> [String] {
    let lines = Lines()
    var logger = Logger(label: "sluice") { label in
      LineLogHandler(label: label, level: .info, format: format) { line in lines.all.withLock { $0.append(line) } }
    }
    body(&logger)
    return lines.all.withLock { $0 }
  }

  @Test("a line for people has time, level, message and the values in order")
  func text() throws {
    let lines = lines(.text) { logger in
      logger[metadataKey: "shard"] = "3"
      logger.debug("not shown")
      logger.warning("a lane is blocked", metadata: ["attempt": "2", "reason": "no time", "empty": ""])
    }
    #expect(lines.count == 1)
    let parts = try #require(lines.first).split(separator: " ", maxSplits: 1)
    #expect(parts[0].hasSuffix("Z") && parts[0].contains("."))
    #expect(parts[1] == #"warning  a lane is blocked attempt=2 empty="" reason="no time" shard=3"#)
  }

  @Test("a message with line breaks stays on its line")
  func breaks() {
    let lines = lines(.text) { $0.info("one\ntwo", metadata: ["trace": "a\n\"b\""]) }
    #expect(lines.first?.hasSuffix(#"one\ntwo trace="a\n\"b\"""#) == true)
  }

  @Test("control characters are escaped wherever they stand, and what stands between them stays")
  func controls() {
    let lines = lines(.text) { $0.info("\tREPORT é\t\u{1F}", metadata: ["a": "\\ \r\u{0}ö"]) }
    #expect(lines.first?.hasSuffix(#"\tREPORT é\t\u001f a="\\ \r\u0000ö""#) == true, "\(lines)")
  }

  @Test("a line for machines is one object, and no value takes the place of a member")
  func json() throws {
    let lines = lines(.json) { $0.error("it \"broke\"\u{1}", metadata: ["level": "7", "key": "é\n"]) }
    let line = try #require(lines.first)
    let object = try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String])
    #expect(object["level"] == "error")
    #expect(object["level_"] == "7")
    #expect(object["logger"] == "sluice")
    #expect(object["message"] == "it \"broke\"\u{1}")
    #expect(object["key"] == "é\n")
    #expect(object["time"]?.isEmpty == false)
  }
}
