import Sluice
import StreamModel
import StreamRuntime
import StreamStore
import Testing

@Suite("Store operator: actions", .timeLimit(.minutes(10)))
struct OperatorActionTests {
  private let store: TestStore
  private let preview = Consent(actor: "ada", isApplied: false)
  private let apply = Consent(actor: "ada", isApplied: true)

  init() throws {
    store = try TestStore()
  }

  private func operations(_ working: Working? = nil) -> StoreOperator {
    StoreOperator(store: store.store, poller: { working?.poller })
  }

  /// Each of `texts` has failed: it is a failure entry, or without `retries` the first of them blocks the lane.
  private func fail(_ texts: [String], retries: Int? = 0) async throws {
    for text in texts { try await store.put(text) }
    let working = try await Working(on: store.store, retries: retries) { _ in throw Unexpected() }
    _ = await working.next(retries == nil ? 1 : texts.count)
    await working.end()
  }

  private func action(_ answer: OperatorAnswer) throws -> ActionReport {
    guard case .action(let report) = answer else { throw Unexpected() }
    return report
  }

  private func refusal(_ answer: OperatorAnswer) throws -> OperatorRefusal.Reason {
    guard case .refused(let refusal) = answer else { throw Unexpected() }
    return refusal.reason
  }

  /// What operators did, oldest first, as `action subject`.
  private var audit: [String] {
    get throws { try store.store.audit(limit: 10).reversed().map { "\($0.1.action) \($0.1.subject)" } }
  }

  private var failures: [FailureSummary] {
    get throws { try store.store.failures(limit: 10) }
  }

  private func skipping(_ consent: Consent, through: SequenceNumber? = nil) -> OperatorRequest {
    .act(.skip(through: through?.description), mapping: "orders", shard: "0", consent: consent)
  }

  // MARK: - Skip

  @Test("a skip is previewed without a trace; applied, the failing batch leaves and the lane goes on")
  func skip() async throws {
    try await fail(["bad", "behind"], retries: nil)
    let working = try await Working(on: store.store)
    let operations = operations(working)
    let previewed = try action(await operations.perform(skipping(preview)))
    #expect(!previewed.isApplied && previewed.records == 1)
    #expect(previewed.effects.first?.contains("gives up 1 record") == true)
    #expect(try audit.isEmpty && failures.isEmpty)
    let applied = try action(await operations.perform(skipping(apply)))
    #expect(applied.isApplied && applied.effects == previewed.effects)
    #expect(await working.next(1) == ["behind"])
    await working.end()
    #expect(try failures.map(\.condition) == [.skipped])
    #expect(try failures.map(\.attempts) == [1])
    #expect(try failures.first?.events.map(\.kind) == [.skipped])
    #expect(try failures.first?.events.map(\.actor) == ["ada"])
    #expect(try audit == ["skip orders shardId-000000000000"])
  }

  @Test("a skip through a record gives up everything up to it")
  func skipThrough() async throws {
    try await fail(["bad", "with it", "behind"], retries: nil)
    let working = try await Working(on: store.store)
    let shard = try store.store.shard(.init(stream: try store.stream, shard: ShardNumber(0)))
    let request = skipping(apply, through: shard.sequenceNumber(of: RecordIndex(1)))
    #expect(try action(await operations(working).perform(request)).records == 2)
    #expect(await working.next(1) == ["behind"])
    await working.end()
    #expect(try failures.map(\.count).reduce(0, +) == 2)
  }

  @Test("a skip through what is no record of the shard is refused, and one of a lane in order does nothing")
  func skipNothing() async throws {
    let working = try await Working(on: store.store)
    let foreign = SequenceNumber(shardCreatedAtSeconds: 1, shard: ShardNumber(0), index: .zero)
    #expect(try refusal(await operations(working).perform(skipping(apply, through: foreign))) == .badInput)
    let nothing = try action(await operations(working).perform(skipping(apply)))
    #expect(nothing.records == 0 && nothing.effects.first?.hasPrefix("Nothing to do") == true)
    #expect(try audit.isEmpty)
    await working.end()
  }

  /// The report of the lane, as soon as it has stopped. The lane tells nobody: an operator finds it so.
  private func stoppedLane(_ operations: StoreOperator) async throws -> LaneReport {
    while true {
      guard case .lanes(let lanes) = await operations.perform(.explain(mapping: "orders", shard: "0")) else {
        throw Unexpected()
      }
      if let lane = lanes.first, lane.state == .stopped { return lane }
      try Task.checkCancellation()
    }
  }

  @Test("a skip of a damaged block says what it costs; applied, the lane goes on behind it and the loss is counted")
  func skipDamage() async throws {
    for text in ["a", "needle in a haystack", "behind"] { try await store.put(text) }
    try store.damage("needle in a haystack")
    let working = try await Working(on: store.store)
    let operations = operations(working)
    #expect(await working.next(1) == ["a"])
    let lane = try await stoppedLane(operations)
    let damage = try #require(lane.damage)
    #expect(damage.block == 1 && damage.records == 1 && damage.lastSequenceNumber == damage.firstSequenceNumber)
    #expect(lane.commands.first?.command == "sluice skip orders --shard 0")
    let previewed = try action(await operations.perform(skipping(preview)))
    #expect(!previewed.isApplied && previewed.records == 1)
    for part in ["record 1,", damage.firstSequenceNumber, "1 record is lost to this mapping"] {
      #expect(previewed.effects.first?.contains(part) == true, "\(part)")
    }
    #expect(try audit.isEmpty)
    #expect(try await stoppedLane(operations).checkpoint == lane.checkpoint)
    let number = SequenceNumber(damage.firstSequenceNumber)
    #expect(try refusal(await operations.perform(skipping(apply, through: number))) == .badInput)
    let applied = try action(await operations.perform(skipping(apply)))
    #expect(applied.isApplied && applied.effects == previewed.effects)
    #expect(await working.next(1) == ["behind"])
    await working.end()
    #expect(try audit == ["skip orders shardId-000000000000"])
    #expect(try failures.isEmpty)
    guard case .lanes(let after) = await operations.perform(.explain(mapping: "orders", shard: "0")) else {
      throw Unexpected()
    }
    #expect(after.first?.lostToDamage == 1 && after.first?.damage == nil)
  }

  @Test("a failing batch whose block is damaged since is explained without its first record")
  func damagedBatch() async throws {
    try await fail(["needle in a haystack"], retries: nil)
    try store.damage("needle in a haystack")
    guard case .lanes(let lanes) = await operations().perform(.explain(mapping: "orders", shard: "0")) else {
      throw Unexpected()
    }
    let batch = try #require(lanes.first?.batch)
    #expect(batch.records == 1 && batch.preview == nil && batch.partitionKey == nil)
  }

  // MARK: - Redrive

  @Test("a redrive needs a worker; previewed it delivers nothing, applied it delivers in order and empties the list")
  func redrive() async throws {
    try await fail(["a", "b"])
    let everything = FailureQuery(mapping: "orders")
    #expect(try refusal(await operations().perform(.redrive(everything, consent: apply))) == .needsWorker)
    let working = try await Working(on: store.store)
    let operations = operations(working)
    let previewed = try action(await operations.perform(.redrive(everything, consent: preview)))
    #expect(!previewed.isApplied && previewed.records == 2 && previewed.effects.count == 2)
    #expect(try audit.isEmpty && failures.count == 2)
    let applied = try action(await operations.perform(.redrive(everything, consent: apply)))
    #expect(applied.isApplied && applied.effects == previewed.effects)
    // The first delivery is the first entry's: the preview brought about none.
    #expect(await working.next(2) == ["a", "b"])
    await working.poller.drain()
    // Commands run in their order: behind this one all entries are settled.
    _ = try await store.store.createStream(NewStream(name: "behind"))
    working.poller.close()
    #expect(try failures.isEmpty)
    #expect(try audit == ["redrive entry 1", "redrive entry 2"])
  }

  @Test("a redrive of some entries leaves the others alone")
  func redriveSome() async throws {
    try await fail(["a", "b"])
    let working = try await Working(on: store.store)
    let operations = operations(working)
    let second = FailureQuery(shard: "0", entries: [2])
    #expect(try action(await operations.perform(.redrive(second, consent: apply))).records == 1)
    #expect(await working.next(1) == ["b"])
    await working.poller.drain()
    _ = try await store.store.createStream(NewStream(name: "behind"))
    working.poller.close()
    #expect(try failures.map(\.number) == [1])
    let unknown = FailureQuery(entries: [9])
    #expect(try refusal(await operations.perform(.redrive(unknown, consent: apply))) == .badInput)
    let elsewhere = try action(await operations.perform(.redrive(FailureQuery(shard: "7"), consent: apply)))
    #expect(elsewhere.effects == ["No failure entry matches."])
  }

  // MARK: - Purge

  @Test("a purge is previewed without a trace; applied, exactly the entries that were named are gone")
  func purge() async throws {
    try await fail(["a", "b"])
    let operations = operations()
    let first = FailureQuery(entries: [1])
    let previewed = try action(await operations.perform(.purge(first, consent: preview)))
    #expect(!previewed.isApplied && previewed.records == 1)
    #expect(try audit.isEmpty && failures.count == 2)
    let applied = try action(await operations.perform(.purge(first, consent: apply)))
    #expect(applied.isApplied && applied.effects == previewed.effects)
    #expect(try failures.map(\.number) == [2])
    #expect(try refusal(await operations.perform(.showFailure(entry: 1))) == .badInput)
    #expect(try refusal(await operations.perform(.purge(first, consent: apply))) == .badInput)
    #expect(try audit == ["purge entry 1"])
  }

  @Test("a damaged entry is counted, says which one it is when it is read, and can be purged by its number")
  func purgeDamaged() async throws {
    try await fail(["a"])
    try store.damage("Unexpected()")
    let operations = operations()
    func count() async throws -> Int? {
      guard case .status(let status) = await operations.perform(.status) else { throw Unexpected() }
      return status.mappings.first?.failureEntries
    }
    #expect(try await count() == 1)
    guard case .refused(let refused) = await operations.perform(.listFailures(FailureQuery())) else {
      throw Unexpected()
    }
    #expect(refused.message.contains("table failures, failure entry 1: its checksum does not match"))
    let query = FailureQuery(entries: [1])
    #expect(try action(await operations.perform(.purge(query, consent: preview))).effects.count == 1)
    #expect(try await count() == 1)
    let applied = try action(await operations.perform(.purge(query, consent: apply)))
    #expect(applied.effects.first?.contains("entry 1: it is damaged") == true)
    #expect(try await count() == 0)
    #expect(try failures.isEmpty && audit == ["purge entry 1"])
    #expect(try store.store.check().problems.isEmpty)
  }
}
