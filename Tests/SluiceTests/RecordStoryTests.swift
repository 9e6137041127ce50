import Sluice
import StreamModel
import StreamRuntime
import StreamStore
import Testing

@Suite("Store operator: the story of a record", .timeLimit(.minutes(10)))
struct RecordStoryTests {
  private let store: TestStore
  private let consent = Consent(actor: "ada", isApplied: true)

  init() throws {
    store = try TestStore()
  }

  private func number(_ index: UInt64) throws -> String {
    let shard = try store.store.shard(ShardAddress(stream: try store.stream, shard: ShardNumber(0)))
    return shard.sequenceNumber(of: RecordIndex(index)).description
  }

  private func record(_ index: UInt64, _ working: Working? = nil) async throws -> RecordReport {
    let operations = StoreOperator(store: store.store, poller: { working?.poller })
    guard
      case .record(let report) = await operations.perform(
        .record(mapping: "orders", sequenceNumber: try number(index)))
    else { throw Unexpected() }
    return report
  }

  @Test("while it is retried, when it has left, and when a redrive has failed: every attempt with its batch")
  func failing() async throws {
    for text in ["good", "bad", "behind"] { try await store.put(text) }
    let first = try await Working(on: store.store) { text in
      if text == "bad" { throw Unexpected() }
      return .succeeded
    }
    _ = await first.next(2)
    let live = try await record(1, first)
    #expect(live.situation == .retrying || live.situation == .delivering)
    await first.end()
    // What is stored says the same.
    let stored = try await record(1)
    #expect(stored.situation == .retrying)
    #expect(stored.preview == "bad" && stored.partitionKey == "key")
    #expect(stored.attempts.map(\.type) == ["Unexpected"])
    #expect(stored.attempts.first?.batch?.firstSequenceNumber == (try number(1)))
    #expect(stored.attempts.first?.batch?.position == 0)
    #expect(try await record(0).situation == .settled)
    #expect(try await record(2).situation == .waiting)
    #expect(try await record(2).attempts.isEmpty)

    let second = try await Working(on: store.store) { text in
      if text == "bad" { throw Unexpected() }
      return .succeeded
    }
    let operations = StoreOperator(store: store.store, poller: { second.poller })
    _ = await operations.perform(.act(.skip(through: nil), mapping: "orders", shard: "0", consent: consent))
    #expect(await second.next(1) == ["behind"])
    let left = try await record(1, second)
    #expect(left.situation == .failed && left.entries == [1])
    #expect(left.events.map(\.kind) == ["skipped"] && left.events.map(\.actor) == ["ada"])
    _ = await operations.perform(.redrive(FailureQuery(entries: [1]), consent: consent))
    #expect(await second.next(1) == ["bad"])
    await second.poller.drain()
    // Commands run in their order: behind this one the redrive is settled.
    _ = try await store.store.createStream(NewStream(name: "behind"))
    let redriven = try await record(1, second)
    #expect(redriven.attempts.map(\.redrivenBy) == [nil, "ada"])
    #expect(redriven.events.map(\.kind) == ["skipped", "redriven"])
    second.poller.close()
  }

  @Test("what is no record of the mapping's stream is bad input")
  func refusals() async throws {
    try await store.put("one")
    let working = try await Working(on: store.store)
    _ = await working.next(1)
    await working.end()
    let operations = StoreOperator(store: store.store)
    for text in ["", "five", try number(1), "49\(try number(0))", "1"] {
      guard case .refused(let refusal) = await operations.perform(.record(mapping: "orders", sequenceNumber: text))
      else { throw Unexpected() }
      #expect(refusal.reason == .badInput, "\(text)")
    }
  }
}
