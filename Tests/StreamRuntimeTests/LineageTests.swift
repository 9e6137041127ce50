import ShardCore
import StreamModel
import StreamRuntime
import StreamStore
import Testing

@Suite("Records that come from a loop, with a store", .timeLimit(.minutes(10)))
struct LineageTests {
  private func put(_ texts: [(key: String, text: String, hops: Int)], _ stage: Stage) async throws {
    for (key, text, hops) in texts {
      var request = AppendRequest(to: try stage.store.routing(of: "orders"), lineage: Lineage(hops: hops))
      try request.add(partitionKey: key, data: Array(text.utf8))
      _ = try await stage.store.append(request)
    }
  }

  @Test(
    "they are a failure entry that says why, and a handler sees the lineage of the others",
    arguments: ["plain", "filter", "lanes", "key"])
  func leave(way: String) async throws {
    let stage = try Stage()
    try await put([("a", "one", 0), ("a", "two", 3), ("b", "loop", 5), ("b", "again", 200), ("a", "last", 1)], stage)
    let policy = LanePolicy.quick.with {
      $0.recursiveLoopLimit = Lineage(hops: 5)
      if way == "key" { $0.parking = ParkingPolicy() }
    }
    let poller = try await stage.poller(
      policy, filters: way == "filter" ? [#"{"partitionKey":["a","b"]}"#] : [], factor: way == "lanes" ? 2 : 1
    ) { delivered, batch in
      let wanted = delivered.data.map { ["one": 0, "two": 3, "last": 1][$0] ?? -1 }.max() ?? -1
      return batch.lineage == Lineage(hops: wanted) ? .succeeded : .failed(at: batch.sequenceNumber(at: 0))
    }
    try await until { try stage.store.failureCount() == 1 && stage.all.flatMap(\.data).count == 3 }
    await poller.end()
    #expect(stage.all.flatMap(\.data) == ["one", "two", "last"])
    #expect(stage.all.allSatisfy { $0.attempt == 1 })
    let summary = try stage.store.failures(limit: 10).first.unwrapped
    #expect((summary.count, summary.condition, summary.attempts) == (2, .recursiveInvocation, 0))
    #expect(summary.history.map(\.type) == ["RecursiveInvocationException"])
    #expect(summary.history[0].message.contains("from 200 invocations"))
    let entry = try stage.store.failure(summary.number).unwrapped
    #expect((0..<2).map { entry.records.lineage(at: $0).hops } == [5, 200])
  }

  @Test("a redrive of them is delivered, with their lineage")
  func redriven() async throws {
    let stage = try Stage()
    try await put([("a", "loop", 9)], stage)
    let poller = try await stage.poller(.quick.with { $0.recursiveLoopLimit = Lineage(hops: 5) }) { _, batch in
      batch.lineage == Lineage(hops: 9) ? .succeeded : .failed(at: batch.sequenceNumber(at: 0))
    }
    try await until { try stage.store.failureCount() == 1 }
    #expect(poller.redrive(try stage.store.failures(limit: 1).first.unwrapped))
    try await until { try stage.store.failureCount() == 0 }
    await poller.end()
    #expect(stage.all.map(\.data) == [["loop"]])
  }
}
