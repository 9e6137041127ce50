import Foundation
import Locks
import Logging
import Recordings
import Replays
import ShardCore
import StreamModel
import StreamRuntime
import StreamStore
import Testing

@Suite("Replays")
struct ReplayTests: ReplaySuite {
  @Test("records come when they came, and batches are what a worker would have made of them")
  func batches() async throws {
    let handler = FailingRecords()
    let outcome = try await replay(
      recording([([0, 0, 0, 5, 5, 100], [], false)]), through: handler)
    #expect(handler.batches.withLock { $0 } == [[0, 1, 2], [3, 4], [5]])
    // What is written by hand is what the encoder writes.
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let invocations = outcome.lines.filter { $0.contains(#""invocation":"#) }
    #expect(invocations.count == 3)
    for line in invocations {
      let invocation = try JSONDecoder().decode(RunInvocation.self, from: Data(line.utf8))
      #expect(try encoder.encode(invocation) == Data(line.utf8))
    }
    #expect(
      outcome.end.records == 6 && outcome.end.invocations == 3 && outcome.end.unsettledLanes == [])
    #expect(outcome.end.milliseconds == 100)
  }

  @Test("a window waits in virtual time; everything at once makes full batches")
  func windows() async throws {
    let shard: [Int64] = (0..<25).map { Int64($0) * 100 }
    let waiting = FailingRecords()
    _ = try await replay(
      recording([(shard, [], false)]), through: waiting,
      policy: LanePolicy(batchSize: 10, windowMilliseconds: 450))
    #expect(waiting.batches.withLock { $0.map(\.count) } == [5, 5, 5, 5, 5])
    let atOnce = FailingRecords()
    _ = try await replay(recording([(shard, [], false)]), through: atOnce) { $0.isAtOnce = true }
    #expect(atOnce.batches.withLock { $0.map(\.count) } == [10, 10, 5])
  }

  @Test(
    "a shard with few records does not make those of the others wait in memory; batches are the same",
    arguments: [1, 3])
  func unevenShards(factor: Int) async throws {
    let bytes = recording(
      [
        ((0..<30_000).map { Int64($0) }, [], false), ((0..<300).map { Int64($0) * 100 }, [], false),
      ], dataByteCount: 100)
    var batches: [[[UInt64]]] = []
    var waited: [Int] = []
    for limit in [1 << 30, 64 << 10] {
      let handler = FailingRecords()
      let outcome = try await replay(bytes, through: handler, policy: LanePolicy(batchSize: 100), factor: factor) {
        $0.isAtOnce = true
        $0.holdingByteLimit = limit
      }
      #expect(outcome.end.records == 30_300 && outcome.end.unsettledLanes == [])
      batches.append(handler.batches.withLock { $0.sorted { $0.lexicographicallyPrecedes($1) } })
      waited.append(outcome.greatestWaitingByteCount)
    }
    #expect(batches[0] == batches[1] && batches[0].count >= 303)
    #expect(waited[0] > 2_000_000 && (waited[1] < 900_000 || factor > 1), "\(waited)")
  }

  @Test("thousands of shards keep in memory what their next batches need, and no more; batches are the same")
  func manyShards() async throws {
    // In turns, 20 records each: two batches.
    let shards = 2_000
    let bytes = recording(
      (0..<shards).map { shard in ((0..<40).map { Int64($0 / 20 * shards + shard) }, [], false) }, dataByteCount: 100)
    var batches: [[[UInt64]]] = []
    var waited: [Int] = []
    for limit in [1 << 30, 64 << 10] {
      let handler = FailingRecords()
      let outcome = try await replay(bytes, through: handler) {
        $0.isAtOnce = true
        $0.holdingByteLimit = limit
      }
      #expect(outcome.end.records == 80_000 && outcome.end.invocations == 8_000 && outcome.end.unsettledLanes == [])
      batches.append(handler.batches.withLock { $0.sorted { $0.lexicographicallyPrecedes($1) } })
      waited.append(outcome.greatestWaitingByteCount)
    }
    #expect(batches[0] == batches[1] && batches[0].allSatisfy { $0.count == 10 })
    #expect(waited[0] > 5_000_000 && waited[1] < 100_000, "\(waited)")
  }

  @Test("what waits is compressed where it is much, and handlers get what was recorded; the rest comes at the end")
  func compressedWaiting() async throws {
    // Record by record: all of them wait for their batches at once, and for the end of the recording with the last one.
    let bytes = recording(
      (0..<200).map { shard in ((0..<25).map { Int64($0 * 200 + shard) }, [], false) }, dataByteCount: 300)
    var runs: [Set<String>] = []
    for limit in [1 << 30, 16 << 10] {
      let handler = Contents()
      let outcome = try await replay(bytes, through: handler) {
        $0.isAtOnce = true
        $0.holdingByteLimit = limit
      }
      #expect(outcome.end.records == 5_000 && outcome.end.invocations == 600 && outcome.end.unsettledLanes == [])
      runs.append(handler.seen.withLock { $0 })
    }
    #expect(runs[0] == runs[1] && runs[0].count == 600)
    #expect(runs[0].contains("199: key 20 300, key 21 300, key 22 300, key 23 300, key 24 300"))
  }

  /// Notes what is in each batch.
  private final class Contents: BatchHandler {
    let seen = Mutex<Set<String>>([])

    func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
      let records = (0..<batch.count).map { "\(batch[$0].partitionKey) \(batch[$0].dataBytes.count)" }
      let shard = batch.origin.shard.rawValue
      seen.withLock { _ = $0.insert("\(shard): \(records.joined(separator: ", "))") }
      return .succeeded
    }
  }

  /// Answers for some shards only when all of them have been asked.
  private final class Together: BatchHandler {
    private let waited: Set<ShardNumber>
    private let waiting = Mutex<[ShardNumber: CheckedContinuation<Void, Never>]>([:])

    init(_ waited: Set<ShardNumber>) { self.waited = waited }

    func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
      let shard = batch.origin.shard
      guard waited.contains(shard), batch.firstIndex == .zero else { return .succeeded }
      await withCheckedContinuation { continuation in
        let all = waiting.withLock { waiting in
          waiting[shard] = continuation
          return waiting.count == waited.count ? Array(waiting.values) : []
        }
        for one in all { one.resume() }
      }
      return .succeeded
    }
  }

  @Test("lanes that were held are let on together, as many as are delivered at once", .timeLimit(.minutes(10)))
  func heldTogether() async throws {
    let bytes = recording((0..<9).map { _ in ((0..<20).map { Int64($0) }, [], false) }, dataByteCount: 100)
    // The first lane is not held: there is nothing yet.
    let outcome = try await replay(bytes, through: Together(Set((1...4).map { ShardNumber($0) }))) {
      $0.isAtOnce = true
      $0.holdingByteLimit = 1
      $0.concurrency = 4
    }
    #expect(outcome.end.invocations == 18 && outcome.end.unsettledLanes == [])
  }

  @Test(
    "a poisoned record takes its retries and waits in virtual time, and then leaves; seed and bytes go together"
  )
  func poison() async throws {
    var policy = LanePolicy(batchSize: 10)
    policy.maximumRetryAttempts = 100
    let bytes = recording([
      ((0..<30).map { _ in 0 }, [], false), ((0..<5).map { _ in 0 }, [], false),
    ])
    var runs: [ReplayOutcome] = []
    for seed in [1, 1, 2] as [UInt64] {
      runs.append(
        try await replay(bytes, through: FailingRecords([12: 1_000]), policy: policy) {
          $0.seed = seed
          $0.concurrency = 4
        })
    }
    #expect(runs[0].run == runs[1].run)
    #expect(runs[0].run != runs[2].run)
    let end = runs[0].end
    #expect(end.leftRecords == 10 && end.departures == 1 && end.unsettledLanes == [])
    #expect(end.failures == 101 && end.invocations == 101 + 3)
    // A hundred waits of up to a minute.
    #expect(end.milliseconds > 3_600_000)
    let left = try #require(runs[0].lines.first { $0.contains(#""left":10"#) })
    #expect(
      left.contains(#""condition":"RetryAttemptsExhausted""#)
        && left.contains(#""records":[[10,19]]"#))
    #expect(runs[0].lines.contains { $0.contains(#""errorType":"Poison""#) })
  }

  @Test("what fails for ever is told, a day after the last record")
  func endless() async throws {
    let outcome = try await replay(recording([([0, 0], [], false)]), through: FailingRecords([1: .max]))
    #expect(outcome.end.unsettledLanes == ["shardId-000000000000"])
    #expect((86_340_000...86_460_000).contains(outcome.end.milliseconds))
  }

  @Test(
    "children begin when their parents are drained; lanes of a shard share its keys",
    arguments: [1, 3])
  func family(factor: Int) async throws {
    let handler = FailingRecords([0: 2])
    let bytes = recording([([0, 1, 2], [], true), ([3, 4], [0], false)])
    let outcome = try await replay(
      bytes, through: handler, policy: LanePolicy(batchSize: 1), factor: factor)
    #expect(
      outcome.end.records == 5 && outcome.end.invocations == 7 && outcome.end.unsettledLanes == [])
    let shards = outcome.lines.filter { $0.contains(#""invocation":"#) }.map {
      $0.contains(#""shard":1"#)
    }
    #expect(shards == [false, false, false, false, false, true, true])
  }

  @Test("tumbling windows are in the run file with what was handed on; measured times only if they are asked for")
  func windowStates() async throws {
    struct Counting: BatchHandler, WindowedBatchHandler {
      func handle(_ batch: RecordBatch) async throws -> HandlerOutcome { .succeeded }
      func handle(_ batch: WindowedBatch) async throws -> WindowedOutcome {
        .succeeded(WindowState(batch.state.bytes + Array("\(batch.records?.count ?? 0),".utf8)))
      }
    }
    let bytes = recording([([0, 0, 1_000, 5_000], [], false)])
    let policy = LanePolicy(batchSize: 10, tumblingWindowMilliseconds: 2_000)
    let outcome = try await replay(bytes, through: Counting(), policy: policy)
    let invocations = outcome.lines.filter { $0.contains(#""invocation":"#) }
    let begin = Self.begin
    #expect(invocations.count == 5)
    #expect(invocations.count { $0.contains(#""state":"#) } == 3)
    #expect(
      invocations.count { $0.contains(#""state":"2,1,""#) && $0.contains(#""window":[\#(begin),\#(begin + 2_000)]"#) }
        == 1)
    #expect(!invocations.contains { $0.contains("tookMicroseconds") })
  }

  @Test("request ids are those of the seed: of a batch always the same, of another batch another one")
  func requestIDs() async throws {
    final class Listing: BatchHandler {
      let ids = Mutex<[String]>([])
      var usesRequestIDs: Bool { true }
      func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
        ids.withLock { $0.append(batch.origin.requestID) }
        if batch.firstIndex.rawValue == 0, batch.origin.attempt < 3 {
          throw HandlerFailure(kind: .error, type: "E", message: "not yet")
        }
        return .succeeded
      }
    }
    let bytes = recording([([0, 0, 1_000, 60_000], [], false)])
    func ids(_ seed: UInt64) async throws -> [String] {
      let handler = Listing()
      _ = try await replay(bytes, through: handler) { $0.seed = seed }
      return handler.ids.withLock { $0 }
    }
    let first = try await ids(1)
    #expect(first.count == 5 && first[0] == first[1] && first[1] == first[2] && Set(first).count == 3, "\(first)")
    #expect(first.allSatisfy { $0.contains(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/) })
    #expect(try await ids(1) == first)
    #expect(Set(try await ids(2)).isDisjoint(with: first))
  }

  @Test("states that only differ behind what a run file keeps of them are told apart")
  func longStates() async throws {
    struct Ending: BatchHandler, WindowedBatchHandler {
      var ending: String
      func handle(_ batch: RecordBatch) async throws -> HandlerOutcome { .succeeded }
      func handle(_ batch: WindowedBatch) async throws -> WindowedOutcome {
        let beginning = String(repeating: "x", count: RunRecorder.answerByteLimit)
        return .succeeded(WindowState(Array((beginning + ending).utf8)))
      }
    }
    let bytes = recording([([0, 0, 1_000], [], false)])
    let policy = LanePolicy(batchSize: 10, tumblingWindowMilliseconds: 2_000)
    func run(_ ending: String) async throws -> (RunFile, lines: [String]) {
      let outcome = try await replay(bytes, through: Ending(ending: ending), policy: policy)
      var rest = outcome.run[...]
      let file = try RunFile {
        guard let end = rest.firstIndex(of: 10) else { return nil }
        defer { rest = rest[(end + 1)...] }
        return rest[..<end]
      }
      return (file, outcome.lines)
    }
    let (one, lines) = try await run("1")
    #expect(lines.contains { $0.contains(#""stateRest":{"byteCount":4097,"hash":""#) })
    let difference = RunDifference(one, try await run("2").0)
    #expect(difference.windows.count == 1 && !difference.isSame)
    let window = try #require(difference.windows.first)
    #expect(window.before != window.after && window.before?.contains("(4097 bytes, hash ") == true)
    #expect(RunDifference(one, try await run("1").0).isSame)
    // Nothing is left out of one that is short enough.
    #expect(!(try await run("")).lines.contains { $0.contains("stateRest") })
  }

  @Test("a part by time and shard is replayed alone")
  func part() async throws {
    let handler = FailingRecords()
    let bytes = recording([([0, 10, 20, 30], [], false), ([10, 20], [], false)])
    let outcome = try await replay(bytes, through: handler) {
      $0.from = WallTime(milliseconds: Self.begin + 10)
      $0.to = WallTime(milliseconds: Self.begin + 30)
      $0.shards = [ShardNumber(0)]
    }
    #expect(handler.batches.withLock { $0 } == [[1], [2]])
    #expect(outcome.end.records == 2 && !outcome.lines.contains { $0.contains("lost") })
  }

  @Test("a recording that is not as it should be ends the replay with its place")
  func corrupt() async throws {
    var bytes = recording([([0, 10, 20], [], false)])
    bytes[bytes.count - 200] ^= 1
    await #expect(throws: ReplayError.self) { try await replay(bytes, through: FailingRecords()) }
  }
}
