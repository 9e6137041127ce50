import ShardCore
import Sluice
import StreamModel
import StreamRuntime
import StreamStore
import Testing

/// Positions of a mapping on a real store, with a poller that runs it and without one.
@Suite("Positions are shown, moved and copied", .timeLimit(.minutes(10)))
struct PositionTests {
  private let store: TestStore
  private let preview = Consent(actor: "ada", isApplied: false)
  private let apply = Consent(actor: "ada", isApplied: true)

  init() throws {
    store = try TestStore()
  }

  private func seek(
    _ operations: StoreOperator, to target: SeekTarget, discards: Bool = false, _ consent: Consent
  ) async throws -> SeekReport {
    let answer = await operations.perform(
      .seek(SeekOrder(mapping: "orders", target: target, discards: discards), consent: consent))
    if case .refused(let refusal) = answer { throw refusal }
    guard case .seek(let report) = answer else { throw Unexpected() }
    return report
  }

  private func position(_ operations: StoreOperator, of mapping: String = "orders") async throws -> PositionReport {
    guard case .positions(let lanes) = await operations.perform(.positions(mapping: mapping, shard: nil)) else {
      throw Unexpected()
    }
    return try #require(lanes.first)
  }

  private func duplicates(_ operations: StoreOperator) async throws -> DuplicateReport {
    let answer = await operations.perform(.duplicates(mapping: "orders", shard: nil, limit: 100))
    guard case .duplicates(let report) = answer else { throw Unexpected() }
    return report
  }

  private func number(_ index: UInt64) throws -> String {
    try store.store.shard(ShardAddress(stream: try store.stream, shard: ShardNumber(0)))
      .sequenceNumber(of: RecordIndex(index)).description
  }

  private func put(_ texts: String...) async throws {
    for text in texts { try await store.put(text) }
  }

  @Test("while the mapping runs a seek lets it go on from there; the preview does not, and the audit tells")
  func running() async throws {
    try await put("a", "b", "c")
    let working = try await Working(on: store.store)
    let operations = StoreOperator(store: store.store, poller: { working.poller })
    #expect(await working.next(3) == ["a", "b", "c"])
    let second = SeekTarget.sequenceNumber(try number(1))
    let planned = try await seek(operations, to: second, preview)
    // The last record may still be with its handler.
    #expect(!planned.isApplied && (1...2).contains(planned.deliveredAgain) && planned.skipped == 0)
    #expect(planned.lanes.first?.deliveredAgain?.firstSequenceNumber == (try number(1)))
    #expect(try [number(2), number(3)].contains(try await position(operations).next))
    #expect(try store.store.audit(limit: 5).isEmpty)
    let done = try await seek(operations, to: second, apply)
    #expect(done.isApplied && done.deliveredAgain == 2)
    #expect(done.lanes.first?.deliveredAgain?.lastSequenceNumber == (try number(2)))
    #expect(await working.next(2) == ["b", "c"])
    #expect(try store.store.audit(limit: 5).map(\.1.action) == ["seek"])
    // It goes on as before.
    try await put("d")
    #expect(await working.next(1) == ["d"])
    await working.end()
    #expect(try await duplicates(operations).records == ["seek": 2])
  }

  @Test("what comes again because of a seek is told as that, by whichever worker delivers it")
  func duplicates() async throws {
    try await put("a", "b", "c", "d")
    let first = try await Working(on: store.store)
    _ = await first.next(3)
    await first.end()
    let operations = StoreOperator(store: store.store)
    let target = SeekTarget.sequenceNumber(try number(1))
    let again = try await seek(operations, to: target, apply).deliveredAgain
    // A second one that does not go as far back as the first came from takes nothing of it away.
    #expect(try await seek(operations, to: .trimHorizon, apply).deliveredAgain == 1)
    let next = try await Working(on: store.store)
    _ = await next.next(4)
    await next.end()
    let report = try await duplicates(operations)
    #expect(report.records == ["seek": 1 + again])
    #expect(report.redeliveries.allSatisfy { $0.cause == "seek" })
  }

  @Test("without a worker the next one begins there, and what was skipped is never delivered")
  func stopped() async throws {
    try await put("a", "b", "c", "d")
    let first = try await Working(on: store.store)
    _ = await first.next(4)
    await first.end()
    let operations = StoreOperator(store: store.store)
    #expect(try await position(operations).recordsBehind == 0)
    #expect(try await seek(operations, to: .trimHorizon, apply).deliveredAgain == 4)
    #expect(try await position(operations).recordsBehind == 4)
    let skipping = try await seek(operations, to: .sequenceNumber(number(2)), apply)
    #expect(skipping.skipped == 2 && skipping.deliveredAgain == 0)
    #expect(skipping.effects.first?.contains("no failure entries") == true)
    let second = try await Working(on: store.store)
    #expect(await second.next(2) == ["c", "d"])
    await second.end()
  }

  @Test("latest skips what is there, a time goes to the first record from then on, and where it stands nothing happens")
  func targets() async throws {
    try await put("a", "b")
    let working = try await Working(on: store.store)
    _ = await working.next(2)
    await working.end()
    let operations = StoreOperator(store: store.store)
    _ = try await seek(operations, to: .time(0), apply)
    #expect(try await position(operations).next == number(0))
    _ = try await seek(operations, to: .latest, apply)
    #expect(try await position(operations).next == number(2))
    let again = try await seek(operations, to: .time(.max), apply)
    #expect(again.isApplied && again.lanes.isEmpty)
    #expect(again.effects == ["Nothing to do: every lane is there already."])
  }

  @Test("before the first failure: back to the first record of a failure entry, and nowhere without one")
  func firstFailure() async throws {
    try await put("a", "bad", "c")
    let working = try await Working(on: store.store, retries: 0) { text in
      if text == "bad" { throw Unexpected() }
      return .succeeded
    }
    _ = await working.next(3)
    await working.end()
    let operations = StoreOperator(store: store.store)
    let report = try await seek(operations, to: .beforeFirstFailure, apply)
    #expect(report.deliveredAgain == 2)
    #expect(report.effects.contains { $0.contains("failure entries stay") })
    #expect(try await position(operations).next == number(1))
    let again = try await seek(operations, to: .beforeFirstFailure, apply)
    #expect(again.isApplied && again.effects.first?.contains("no failure entry") == true)
    let fixed = try await Working(on: store.store)
    #expect(await fixed.next(2) == ["bad", "c"])
    await fixed.end()
  }

  @Test(
    "a batch under retry is not passed unless that is said, and the mapping goes on as it was",
    arguments: [true, false])
  func failingBatch(isRunning: Bool) async throws {
    try await put("bad", "b")
    let working = try await Working(on: store.store) { text in
      if text == "bad" { throw Unexpected() }
      return .succeeded
    }
    #expect(await working.next(1) == ["bad"])
    let running = StoreOperator(store: store.store, poller: { working.poller })
    if !isRunning { await working.end() }
    let operations = isRunning ? running : StoreOperator(store: store.store)
    do {
      _ = try await seek(operations, to: .latest, apply)
      Issue.record("nothing was refused")
    } catch let refusal as OperatorRefusal {
      #expect(refusal.reason == .badInput)
      #expect(refusal.message.contains("sluice skip orders --shard 0 --yes"))
      #expect(refusal.message.contains("--discard"))
    }
    #expect(try await position(operations).failingRecords == 1)
    let report = try await seek(operations, to: .sequenceNumber(number(1)), discards: true, apply)
    #expect(report.skipped == 1 && report.lanes.first?.discarded.count == 1)
    if isRunning {
      #expect(await working.next(1) == ["b"])
      await working.end()
    } else {
      #expect(try await position(operations).next == number(1))
    }
    #expect(try store.store.failureCount() == 0)
  }

  @Test("parked records are not passed; from before them everything comes again, and nothing is parked any more")
  func parkedKeys() async throws {
    try await put("bad", "b")
    try await store.put("c", key: "other")
    let working = try await Working(on: store.store, parking: ParkingPolicy()) { text in
      if text == "bad" { throw Unexpected() }
      return .succeeded
    }
    #expect(await working.next(2) == ["bad", "c"])
    await working.end()
    let operations = StoreOperator(store: store.store)
    let before = try await position(operations)
    #expect(before.parkedRecords == 2 && before.recordsBehind == 0)
    do {
      _ = try await seek(operations, to: .sequenceNumber(number(1)), apply)
      Issue.record("nothing was refused")
    } catch let refusal as OperatorRefusal {
      #expect(refusal.message.contains("1 record of 1 parked key") && refusal.message.contains("--key KEY --all"))
    }
    guard case .action = await operations.perform(.copyPositions(from: "orders", to: "copy", consent: apply)) else {
      throw Unexpected()
    }
    #expect(try await position(operations, of: "copy").next == number(0))
    #expect(try await seek(operations, to: .trimHorizon, apply).deliveredAgain == 3)
    #expect(try await position(operations).parkedRecords == 0)
    let fixed = try await Working(on: store.store, parking: ParkingPolicy())
    #expect(await fixed.next(3) == ["bad", "b", "c"])
    await fixed.end()
  }

  @Test("a copy begins where the other stands, and only a mapping without positions can be one")
  func copy() async throws {
    try await put("a", "b", "c")
    let working = try await Working(on: store.store)
    _ = await working.next(3)
    await working.end()
    let operations = StoreOperator(store: store.store)
    _ = try await seek(operations, to: .sequenceNumber(number(2)), apply)
    for consent in [preview, apply] {
      guard
        case .action(let report) = await operations.perform(
          .copyPositions(from: "orders", to: "copy", consent: consent))
      else { throw Unexpected() }
      #expect(report.isApplied == consent.isApplied && report.records == 1)
    }
    #expect(try await position(operations, of: "copy").next == number(2))
    for (from, to) in [("orders", "copy"), ("orders", "orders"), ("none", "other")] {
      guard case .refused(let refusal) = await operations.perform(.copyPositions(from: from, to: to, consent: apply))
      else { throw Unexpected() }
      #expect(refusal.reason == .badInput)
    }
  }

  @Test("what names nothing is refused")
  func refusals() async throws {
    try await put("a")
    let working = try await Working(on: store.store)
    _ = await working.next(1)
    await working.end()
    let operations = StoreOperator(store: store.store)
    let orders: [SeekOrder] = [
      SeekOrder(mapping: "none", target: .latest), SeekOrder(mapping: "orders", shard: "7", target: .latest),
      SeekOrder(mapping: "orders", target: .sequenceNumber("x")),
      SeekOrder(mapping: "orders", target: .sequenceNumber(try number(9))),
    ]
    for order in orders {
      guard case .refused(let refusal) = await operations.perform(.seek(order, consent: apply)) else {
        throw Unexpected()
      }
      #expect(refusal.reason == .badInput)
    }
  }
}
