import Foundation
import Sluice
import Testing

@Suite("Records of every kind", .timeLimit(.minutes(10)))
struct RecordTests {
  private static let mebibyte = 1_048_576

  @Test("empty, binary and non-UTF-8 data arrives byte for byte")
  func anyBytes() async throws {
    try await Workplace.with { place in
      let worker = try await place.start()
      let payloads: [[UInt8]] = [[], Array(0...255), [0xC3, 0x28, 0xFF], [10, 13, 10], [0]]
      _ = try stored(try await worker.put(payloads.map { Packed($0) }))
      try await place.isDrained()
      #expect(place.delivered.map { Array($0.data) } == payloads)
    }
  }

  @Test("the failures show binary data in base64")
  func binaryFailure() async throws {
    try await Workplace.with(Setup { $0.retries = 0 }) { place in
      let worker = try await place.start()
      _ = try stored(try await worker.put([Packed([0xFF, 0x00]), Packed("die".utf8)]))
      let entry = try #require(try await place.failures().first)
      let detail = try await place.ask(FailureDetail.self, "failures", "show", "\(entry.entry)")
      #expect(detail.records.map(\.base64).first == "/wA=")
      #expect(detail.records.map(\.text).last == "die")
    }
  }

  @Test("a key that is not UTF-8, empty or too long is refused, and nothing of its request is put")
  func badKeys() async throws {
    try await Workplace.with { place in
      let worker = try await place.start()
      for (key, rule) in [
        ([0xFF, 0xFE], "valid UTF-8"), ([], "1 to 256"), (Array(repeating: 97, count: 257), "1 to 256"),
      ]
        as [([UInt8], String)]
      {
        let refusal = try refused(try await worker.put([Packed("a".utf8), Packed("b".utf8, key: key)]))
        #expect(refusal.reason == .badInput)
        #expect(refusal.message.contains(rule))
        #expect(refusal.message.contains("record 1"))
      }
      #expect(try await place.ask([StreamReport].self, "streams")[0].shards[0].records == 0)
    }
  }

  @Test("a request whose lengths go beyond its end is refused, and the worker lives on")
  func cutShort() async throws {
    try await Workplace.with { place in
      let worker = try await place.start()
      let lie: [UInt8] = [0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0]
      #expect(try refused(try await worker.put(raw: lie)).reason == .badInput)
      #expect(try refused(try await worker.put(raw: [1, 2, 3])).reason == .badInput)
      _ = try stored(try await worker.put([Packed("good".utf8)]))
      try await place.isDrained()
      #expect(place.delivered.map(\.text) == ["good"])
    }
  }

  @Test("a record of exactly the limit is taken, one byte more is refused with the limit", arguments: [1, 10])
  func largest(limit: Int) async throws {
    try await Workplace.with(Setup { $0.recordLimit = "\(limit)MiB" }) { place in
      let worker = try await place.start()
      // The key, one byte, counts.
      let data = [UInt8](repeating: 120, count: limit * Self.mebibyte)
      let refusal = try refused(try await worker.put([Packed(data)]))
      #expect(refusal.reason == .badInput)
      #expect(refusal.message.contains("at most \(limit * Self.mebibyte) bytes"))
      _ = try stored(try await worker.put([Packed(data.dropLast())]))
      // The command checks before it sends.
      try place.write(String(repeating: "x", count: limit * Self.mebibyte) + "\n", to: "large")
      let ended = try await place.sluice("put", "numbers", "large", "--partition-key", "k")
      #expect(ended.code == 65)
      #expect(ended.errors.contains("line 1 ") && ended.errors.contains("at most \(limit * Self.mebibyte)"))
      guard limit == 1 else { return }
      try await place.isDrained()
      #expect(place.delivered.map(\.data.count) == [data.count - 1])
    }
  }

  @Test("a line without its key is named and nothing is put; with --missing-key all are")
  func missingKey() async throws {
    try await Workplace.with { place in
      _ = try await place.start()
      try place.write("{\"id\":\"a\"}\n{\"id\":null}\n{\"id\":\"c\"}\n", to: "keyed")
      let refused = try await place.sluice("put", "numbers", "keyed", "--key-field", "id")
      #expect(refused.code == 65)
      #expect(refused.errors.contains("line 2 has no value in id"))
      #expect(try await place.ask([StreamReport].self, "streams")[0].shards[0].records == 0)
      let report = try await place.ask(
        PutReport.self, "put", "numbers", "keyed", "--key-field", "id", "--missing-key", "none")
      #expect(report.records == 3)
      try await place.isDrained()
      #expect(place.delivered.count == 3)
    }
  }

  private func stored(_ answer: PutAnswer) throws -> PutReport {
    guard case .stored(let report) = answer else { throw NotHappened(description: "\(answer)") }
    return report
  }

  private func refused(_ answer: PutAnswer) throws -> OperatorRefusal {
    guard case .refused(let refusal) = answer else { throw NotHappened(description: "\(answer)") }
    return refusal
  }
}
