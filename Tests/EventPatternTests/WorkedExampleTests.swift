import EventPattern
import Foundation
import Testing

/// The table of `docs/conformance.md`: each row is tried as it stands there.
@Suite("Filter patterns: the worked examples of the reference")
struct WorkedExampleTests {
  struct Example: Sendable, CustomTestStringConvertible {
    var number: Int
    var kind: String
    var pattern: String
    var event: String
    var outcome: String

    var testDescription: String { "\(number): \(pattern) on \(event)" }

    /// `| 1 | data | PATTERN | EVENT | matches |`; `nil` for other lines.
    init?(row: Substring) {
      let cells = row.split(separator: "|").map { $0.trimming { $0 == " " } }
      guard row.hasPrefix("| "), cells.count == 5, let number = Int(cells[0]), cells[2].first == "`",
        cells[3].first == "`"
      else { return nil }
      self.number = number
      kind = String(cells[1])
      pattern = String(cells[2].dropFirst().dropLast())
      event = String(cells[3].dropFirst().dropLast())
      outcome = String(cells[4])
    }
  }

  static let examples: [Example] = {
    let document = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../docs/conformance.md").standardized
    guard let text = try? String(contentsOf: document, encoding: .utf8) else { return [] }
    return text.split(separator: "\n").compactMap(Example.init(row:))
  }()

  @Test("every example of the reference is a row")
  func rows() {
    #expect(Set(Self.examples.map(\.number)) == Set(1...95))
  }

  @Test("an example comes out as AWS or its open engine has it", arguments: examples)
  func example(_ example: Example) throws {
    let tried =
      switch example.kind {
      case "data": tryData(example.pattern, example.event)
      case "change": tryChange(example.pattern, example.event)
      case "record":
        tryRecord(example.pattern, PlainRecord(body: Array(example.event.utf8), fields: [.partitionKey: "p1"]))
      default: throw UnknownKind(kind: example.kind)
      }
    let words: [Tried: String] = [
      .matches: "matches", .doesNot: "does not match", .refused: "refused",
      .notJSON: "dropped, and counted as not JSON",
    ]
    #expect(words[tried] == example.outcome)
  }

  private struct UnknownKind: Error {
    var kind: String
  }

  @Test("71: the data in a pattern must be an object", arguments: [#"{"data":"plain"}"#, #"{"data":["plain"]}"#])
  func dataMustBeObject(pattern: String) {
    #expect(problems([pattern]).map(\.path) == ["$.data"])
    #expect(problems([#"{"dynamodb":["plain"]}"#], source: .dynamodb).map(\.path) == ["$.dynamodb"])
  }
}

extension Substring {
  fileprivate func trimming(_ isLeftOut: (Character) -> Bool) -> Substring {
    var rest = self.drop(while: isLeftOut)
    while let last = rest.last, isLeftOut(last) { rest.removeLast() }
    return rest
  }
}
