import EventPattern
import Testing

@Suite("Filter patterns: against the plain reading of the rules")
struct DifferentialTests {
  @Test("made-up patterns and events come out alike, however they are spelled", arguments: UInt64(1)...16)
  func sameVerdict(seed: UInt64) throws {
    var generator = Generator(seed: seed)
    var matched = 0
    var tried = 0
    for _ in 0..<150 {
      let patterns = (0...generator.below(3)).map { _ in generator.pattern() }
      let texts = patterns.map { #"{"data":\#(generator.write($0))}"# }
      var matcher = EventMatcher(try EventFilter(texts, source: .kinesis))
      for _ in 0..<12 {
        let event = generator.chance(70) ? generator.event(near: generator.one(of: patterns)) : generator.event()
        let written = generator.write(event)
        let expected = patterns.firstIndex { ReferenceMatcher.matches($0, event) }
        let verdict = matcher.verdict(on: PlainRecord(body: Array(written.utf8)))
        #expect(
          verdict == expected.map { .matched(pattern: $0) } ?? .notMatched,
          "seed \(seed): \(texts.joined(separator: "\n")) on \(written)")
        tried += 1
        if expected != nil { matched += 1 }
      }
    }
    // Otherwise the test says little.
    #expect(matched * 10 > tried && matched * 10 < tried * 9, "\(matched) of \(tried) match")
  }
}
