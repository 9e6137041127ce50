import ArgumentParser
import EventPattern
import Foundation

struct Filter: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Filter patterns.", subcommands: [Test.self])

  struct Test: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say whether a filter pattern matches an event, and why.",
      discussion: """
        The pattern is the Pattern of a mapping's FilterCriteria: JSON, or a file with it. The event is what it is tried \
        on, given in the same way:
          kinesis   the data of a record, or a whole record as a handler gets it ({"kinesis":{"data":"…"}, …})
          dynamodb  a whole change record ({"eventName":"INSERT","dynamodb":{…}})
        An event of a handler with one record ({"Records":[…]}) does as well. Ends with 0 if the pattern matches, with 1 \
        if it does not, with 65 if there is something wrong with it.

        Examples:
          sluice filter test '{"data":{"carrier":["UA"]}}' '{"carrier":"UA","dep_delay":2}'
          sluice filter test pattern.json event.json --source dynamodb --format json
        """)

    @Argument(help: "The pattern: JSON, a file, or - for standard input.") var pattern: String
    @Argument(help: "The event: JSON, a file, or - for standard input.") var event: String
    @Option(help: "What the event is a record of: kinesis or dynamodb.") var source: EventSourceName = .kinesis
    @Option(help: "The partition key, when the event is the data alone.") var partitionKey: String?
    @OptionGroup var output: FormatOption

    func validate() throws {
      if pattern == "-", event == "-" { throw ValidationError("Only one of the two can be standard input.") }
      if partitionKey != nil, source == .dynamodb { throw ValidationError("--partition-key goes with kinesis.") }
    }

    func run() throws {
      let filter = try InlineOrFile.filter(pattern, source: source.source)
      let event = try FilteredEvent(
        try InlineOrFile.read(self.event, "event"), source: source.source, partitionKey: partitionKey)
      let explanation = filter.explanation(of: event.record, constants: event.constants)
      if output.isJSON {
        try printJSON(FilterReport(explanation, filter.advice))
      } else {
        print(FilterText.describe(explanation, filter.advice))
      }
      if !explanation.verdict.passes { throw Exit.failed }
    }
  }
}

/// A ``FilterSource`` as an argument.
enum EventSourceName: String, ExpressibleByArgument, CaseIterable {
  case kinesis
  case dynamodb

  var source: FilterSource {
    switch self {
    case .kinesis: .kinesis
    case .dynamodb: .dynamodb
    }
  }
}

/// An argument that is JSON itself, or names a file.
enum InlineOrFile {
  static func read(_ argument: String, _ name: String) throws -> [UInt8] {
    if argument == "-" { return Array(FileHandle.standardInput.readDataToEndOfFile()) }
    // No file that anybody means begins like this.
    if let first = argument.first(where: { !$0.isWhitespace }), "{[\"".contains(first) { return Array(argument.utf8) }
    do {
      // A pipe that a shell puts in place of a file, as in <(…), is read to its end like one.
      let file = try FileHandle(forReadingFrom: URL(filePath: argument))
      defer { try? file.close() }
      return Array(try file.readToEnd() ?? Data())
    } catch {
      throw Problem(
        Exit.badInput, "the \(name) is neither a JSON object nor a file that can be read: \(argument)")
    }
  }

  /// A filter pattern, compiled.
  static func filter(_ argument: String, source: FilterSource) throws -> EventFilter {
    guard let text = String(validating: try read(argument, "pattern"), as: UTF8.self) else {
      throw Problem(Exit.badInput, "the pattern is not UTF-8")
    }
    do {
      return try EventFilter([text], source: source)
    } catch {
      let lines = error.problems.map { [$0.path, $0.value, $0.rule].filter { !$0.isEmpty }.joined(separator: ": ") }
      throw Problem(Exit.badInput, "this is no filter pattern:\n  " + lines.joined(separator: "\n  "))
    }
  }
}
