import ShardCore
import Sluice
import StreamModel
import StreamRuntime
import StreamStore
import Testing

@Suite("Store operator", .timeLimit(.minutes(10)))
struct StoreOperatorTests {
  private let store: TestStore
  private let operations: StoreOperator
  private let preview = Consent(actor: "ada", isApplied: false)
  private let apply = Consent(actor: "ada", isApplied: true)

  init() throws {
    store = try TestStore()
    operations = StoreOperator(store: store.store)
  }

  private func streams(_ answer: OperatorAnswer) -> [StreamReport]? {
    if case .streams(let reports) = answer { reports } else { nil }
  }

  private func refusal(_ answer: OperatorAnswer) -> OperatorRefusal.Reason? {
    if case .refused(let refusal) = answer { refusal.reason } else { nil }
  }

  private func packed(_ keys: [String], hashKey: HashKey? = nil) -> [UInt8] {
    var bytes: [UInt8] = []
    for key in keys {
      Array(key.utf8).withUnsafeBytes { key in
        RecordLayout.append(partitionKey: key, data: key, explicitHashKey: hashKey, to: &bytes)
      }
    }
    return bytes
  }

  @Test("a stream is created, split, merged and deleted; the preview of a deletion changes nothing")
  func streams() async throws {
    let created = await operations.perform(
      .createStream(name: "new", shards: 1, retentionMilliseconds: 3_600_000, recordByteLimit: 1_000))
    #expect(streams(created)?.first?.shards.count == 1)
    let split = await operations.perform(.splitShard(stream: "new", shard: "0", at: nil))
    #expect(streams(split)?.first?.shards.map(\.isOpen) == [false, true, true])
    #expect(streams(split)?.first?.shards.last?.firstHashKey == HashKeyRange.evenly(2)[1].first.description)
    let merged = await operations.perform(.mergeShards(stream: "new", shard: "1", other: "2"))
    #expect(streams(merged)?.first?.shards.last?.parents == ["shardId-000000000001", "shardId-000000000002"])
    guard let number = try store.store.catalog().stream(named: "new")?.number else { throw Unexpected() }
    _ = try await store.store.storeMapping(
      name: "reader", settings: MappingSettings(stream: number, policy: .init()).encoded())
    let planned = await operations.perform(.deleteStream(name: "new", consent: preview))
    guard case .action(let report) = planned else { throw Unexpected() }
    #expect(report.effects.count == 2)
    #expect(report.effects.last?.contains("mapping reader is left without a stream") == true)
    #expect(streams(await operations.perform(.listStreams))?.map(\.name) == ["new", "orders"])
    _ = await operations.perform(.deleteStream(name: "new", consent: apply))
    #expect(streams(await operations.perform(.listStreams))?.map(\.name) == ["orders"])
    guard case .audit(let entries) = await operations.perform(.audit(limit: 10)) else { throw Unexpected() }
    #expect(entries.map(\.action) == ["delete stream"])
    #expect(entries.map(\.actor) == ["ada"])
  }

  @Test("what does not exist is bad input, and acting on a mapping needs a worker")
  func refusals() async throws {
    #expect(refusal(await operations.perform(.describeStream(name: "none"))) == .badInput)
    #expect(refusal(await operations.perform(.explain(mapping: "none", shard: nil))) == .badInput)
    #expect(refusal(await operations.perform(.showFailure(entry: 9))) == .badInput)
    #expect(refusal(await operations.perform(.splitShard(stream: "orders", shard: "x", at: nil))) == .badInput)
    #expect(refusal(await operations.perform(.splitShard(stream: "orders", shard: "0", at: "-1"))) == .badInput)
    let settings = MappingSettings(stream: try store.stream, policy: .init()).encoded()
    _ = try await store.store.storeMapping(name: "orders", settings: settings)
    let pause = OperatorRequest.act(.pause, mapping: "orders", shard: nil, consent: apply)
    #expect(refusal(await operations.perform(pause)) == .needsWorker)
  }

  @Test("packed records are put with their explicit hash keys")
  func put() async throws {
    _ = await operations.perform(.splitShard(stream: "orders", shard: "0", at: nil))
    let answer = await operations.put(packed(["a", "b"], hashKey: HashKey(.max)), into: "orders")
    guard case .stored(let report) = answer else { throw Unexpected() }
    #expect(report.shards.map(\.shard) == ["shardId-000000000002"])
    #expect(report.records == 2)
  }

  @Test("packed records that are cut short are refused as a whole", arguments: 1..<42)
  func malformed(count: Int) async throws {
    let bytes = packed(["abcd", "efgh"], hashKey: nil)
    #expect(bytes.count == 40)
    let isWhole = [20, 40].contains(count)
    let cut = count > 40 ? bytes + [0] : Array(bytes.prefix(count))
    if case .stored = await operations.put(cut, into: "orders") {
      #expect(isWhole)
    } else {
      #expect(!isWhole)
      #expect(streams(await operations.perform(.describeStream(name: "orders")))?.first?.shards.first?.records == 0)
    }
  }

  @Test("status and explain show what a failing lane has been through")
  func failingLane() async throws {
    let working = try await Working(on: store.store, retries: 2) { _ in throw Unexpected() }
    let operations = StoreOperator(store: store.store, poller: { working.poller })
    _ = await operations.put(packed(["bad"]), into: "orders")
    _ = await working.next(1)
    // Drained, the batch has failed and all of it is stored; what can be said of it is the same.
    await working.poller.drain()
    guard case .lanes(let lanes) = await operations.perform(.explain(mapping: "orders", shard: nil)),
      let lane = lanes.first
    else { throw Unexpected() }
    #expect(lane.attempts.map(\.message) == ["Unexpected()"])
    #expect(lane.batch?.partitionKey == "bad")
    #expect(lane.backlogRecords == 1)
    let outlook = try #require(lane.outlook)
    #expect(outlook.deliveries == 2 && outlook.condition == "RetryAttemptsExhausted" && outlook.records == 1)
    // One wait of an hour before each of them.
    let hours = try Double(#require(outlook.leavesAt) - #require(lane.attempts.last).startedAt) / 3_600_000
    #expect((1.99...2.01).contains(hours))
    guard case .status(let status) = await operations.perform(.status) else { throw Unexpected() }
    #expect(status.mappings.first?.lanes.first?.attemptsMade == 1)
    #expect(status.mappings.first?.isRunning == true)
    working.poller.close()
  }
}
