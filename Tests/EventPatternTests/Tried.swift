import EventPattern
import Testing

/// What came of a pattern and an event.
enum Tried: String, Hashable, Sendable {
  case matches
  case doesNot
  case notJSON
  case refused
}

/// Tries `pattern`, the value of `data`, on `payload`.
func tryData(_ pattern: String, _ payload: String) -> Tried {
  tryRecord(#"{"data":\#(pattern)}"#, PlainRecord(body: Array(payload.utf8)))
}

/// Tries a whole pattern on a Kinesis record.
func tryRecord(_ pattern: String, _ record: PlainRecord) -> Tried {
  tried([pattern], source: .kinesis, record)
}

/// Tries a whole pattern on a DynamoDB change record.
func tryChange(_ pattern: String, _ change: String) -> Tried {
  tried([pattern], source: .dynamodb, PlainRecord(body: Array(change.utf8)))
}

/// Tries patterns on a record, and holds the explanation against the verdict.
func tried(_ patterns: [String], source: FilterSource, _ record: PlainRecord) -> Tried {
  guard let filter = try? EventFilter(patterns, source: source) else { return .refused }
  var matcher = EventMatcher(filter)
  let verdict = matcher.verdict(on: record)
  #expect(matcher.verdict(on: record) == verdict, "the second time is not like the first")
  let explanation = filter.explanation(of: record)
  #expect(explanation.verdict == verdict)
  for pattern in explanation.patterns where pattern.note == nil {
    #expect(pattern.parts.allSatisfy(\.isMet) == pattern.verdict.passes, "\(pattern)")
  }
  switch verdict {
  case .matched: return .matches
  case .notMatched, .tooManyCombinations: return .doesNot
  case .notJSON: return .notJSON
  }
}

/// What is wrong with patterns.
func problems(
  _ patterns: [String], source: FilterSource = .kinesis, limits: FilterLimits = FilterLimits()
) -> [PatternProblem] {
  do {
    _ = try EventFilter(patterns, source: source, limits: limits)
    return []
  } catch {
    return error.problems
  }
}
