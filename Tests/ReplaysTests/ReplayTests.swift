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
struct ReplayTests {
  /// A handler that fails at some records, each so often.
  private final class Failing: BatchHandler {
    private let left: Mutex<[UInt64: Int]>
    let batches = Mutex<[[UInt64]]>([])

    init(_ failures: [UInt64: Int] = [:]) { left = Mutex(failures) }

    func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
      let indexes = (0..<batch.count).map { batch.index(at: $0).rawValue }
      batches.withLock { $0.append(indexes) }
      for index in indexes {
        let fails = left.withLock { left in
          guard let times = left[index], times > 0 else { return false }
          left[index] = times - 1
          return true
        }
        if fails { throw HandlerFailure(kind: .error, type: "Poison", message: "record \(index)") }
      }
      return .succeeded
    }
  }

  private static let begin: Int64 = 1_700_000_000_000

  /// A recording of shards with records at these milliseconds, of which some are closed.
  private func recording(
    _ shards: [(arrivals: [Int64], parents: [UInt32], isClosed: Bool)], dataByteCount: Int = 0
  ) -> [UInt8] {
    let data = [UInt8](repeating: 0, count: dataByteCount)
    var writer = RecordingWriter(
      RecordingHeader(
        stream: "s", kind: .kinesis, streamCreatedAt: WallTime(milliseconds: Self.begin),
        madeAt: WallTime(milliseconds: Self.begin)))
    for (number, shard) in shards.enumerated() {
      let address = ShardNumber(UInt32(number))
      writer.shardOpened(
        RecordedShard(
          shard: address, createdAt: WallTime(milliseconds: Self.begin),
          createdAtSeconds: 1_700_000_000,
          hashKeys: .all, parents: shard.parents.map { ShardNumber($0) }, first: .zero))
    }
    let all = shards.enumerated().flatMap { number, shard in
      shard.arrivals.enumerated().map { (at: $0.element, shard: UInt32(number), index: $0.offset) }
    }
    for record in all.sorted(by: { ($0.at, $0.shard, $0.index) < ($1.at, $1.shard, $1.index) }) {
      var packed: [UInt8] = []
      Array("key \(record.index)".utf8).withUnsafeBytes { key in
        let key = key
        data.withUnsafeBytes { RecordLayout.append(partitionKey: key, data: $0, explicitHashKey: nil, to: &packed) }
      }
      var builder = RecordRunBuilder(firstIndex: RecordIndex(UInt64(record.index)))
      let arrival = WallTime(milliseconds: Self.begin + record.at)
      let isWhole = packed.withUnsafeBytes {
        builder.append(packed: $0, recordCount: 1, firstArrival: arrival)
      }
      precondition(isWhole)
      writer.record(at: 0, of: builder.finish(), arrival: arrival, shard: ShardNumber(record.shard))
    }
    for (number, shard) in shards.enumerated() where shard.isClosed {
      writer.shardClosed(
        RecordedClosing(
          shard: ShardNumber(UInt32(number)), closedAt: WallTime(milliseconds: Self.begin + 10_000),
          end: RecordIndex(UInt64(shard.arrivals.count))))
    }
    writer.end()
    var bytes: [UInt8] = []
    writer.take { bytes = Array($0) }
    return bytes
  }

  private struct Outcome {
    var run: [UInt8]
    var end: RunEnd
    var greatestLagMilliseconds: Int64
    var greatestWaitingByteCount: Int
    var lines: [String] {
      String(decoding: run, as: UTF8.self).split(separator: "\n").map(String.init)
    }
  }

  private func replay(
    _ recording: [UInt8], through handler: any BatchHandler,
    policy: LanePolicy = LanePolicy(batchSize: 10),
    factor: Int = 1, _ change: (inout ReplayOptions) -> Void = { _ in }
  ) async throws -> Outcome {
    var position = 0
    let reader = try RecordingReader { memory throws(RecordingFileError) in
      let count = min(memory.count, recording.count - position)
      memory.copyBytes(from: recording[position..<position + count])
      position += count
      return count
    }
    var plan = MappingPlan(
      name: "m", stream: "s", start: .trimHorizon, policy: policy, handler: handler,
      recordOverhead: 100)
    plan.parallelizationFactor = factor
    var options = ReplayOptions(timeoutMilliseconds: 60_000)
    change(&options)
    var bytes: [UInt8] = []
    var recorder = try RunRecorder(
      RunHeader(
        stream: "s", mapping: "m", handler: "h", settings: [:], seed: options.seed, speed: "1")
    ) { bytes += $0 }
    let replay = Replay(
      reader, through: plan, options,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    ) { try recorder.take($0, $1) }
    try await replay.run {}
    let end = try recorder.end(
      records: replay.recordCount, milliseconds: replay.elapsedMilliseconds,
      unsettled: replay.unsettled)
    return Outcome(
      run: bytes, end: end, greatestLagMilliseconds: replay.greatestLagMilliseconds,
      greatestWaitingByteCount: replay.greatestWaitingByteCount)
  }

  @Test("records come when they came, and batches are what a worker would have made of them")
  func batches() async throws {
    let handler = Failing()
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
    let waiting = Failing()
    _ = try await replay(
      recording([(shard, [], false)]), through: waiting,
      policy: LanePolicy(batchSize: 10, windowMilliseconds: 450))
    #expect(waiting.batches.withLock { $0.map(\.count) } == [5, 5, 5, 5, 5])
    let atOnce = Failing()
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
      let handler = Failing()
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
      let handler = Failing()
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
    var runs: [Outcome] = []
    for seed in [1, 1, 2] as [UInt64] {
      runs.append(
        try await replay(bytes, through: Failing([12: 1_000]), policy: policy) {
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
    let outcome = try await replay(recording([([0, 0], [], false)]), through: Failing([1: .max]))
    #expect(outcome.end.unsettledLanes == ["shardId-000000000000"])
    #expect((86_340_000...86_460_000).contains(outcome.end.milliseconds))
  }

  @Test(
    "children begin when their parents are drained; lanes of a shard share its keys",
    arguments: [1, 3])
  func family(factor: Int) async throws {
    let handler = Failing([0: 2])
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
    let handler = Failing()
    let bytes = recording([([0, 10, 20, 30], [], false), ([10, 20], [], false)])
    let outcome = try await replay(bytes, through: handler) {
      $0.from = WallTime(milliseconds: Self.begin + 10)
      $0.to = WallTime(milliseconds: Self.begin + 30)
      $0.shards = [ShardNumber(0)]
    }
    #expect(handler.batches.withLock { $0 } == [[1], [2]])
    #expect(outcome.end.records == 2 && !outcome.lines.contains { $0.contains("lost") })
  }

  /// A handler that takes its time, of a clock in the test's hand.
  private final class Slow: BatchHandler {
    let time = HandTime()
    private let milliseconds: Int64
    let batches = Mutex<[[UInt64]]>([])

    init(milliseconds: Int64) { self.milliseconds = milliseconds }

    func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
      batches.withLock { $0.append((0..<batch.count).map { batch.index(at: $0).rawValue }) }
      await time.sleep(milliseconds: milliseconds)
      return .succeeded
    }
  }

  @Test(
    "in real time, at any factor, a quick handler sees what it sees in virtual time, and the wall takes its part",
    arguments: [0.5, 1, 10, 1_000])
  func realTime(factor: Double) async throws {
    let bytes = recording([([0, 0, 7, 450, 451, 900, 3_000, 60_000], [], false)])
    for change: (inout LanePolicy) -> Void in [
      { $0.windowMilliseconds = 500 },
      { $0.maximumRetryAttempts = 6 },
      { $0.maximumRecordAgeMilliseconds = 5_000 },
    ] {
      var policy = LanePolicy(batchSize: 10)
      change(&policy)
      let virtual = try await replay(bytes, through: Failing([3: 1_000]), policy: policy)
      let time = HandTime()
      let begun = time.nanoseconds
      let real = try await replay(bytes, through: Failing([3: 1_000]), policy: policy) {
        $0.pace = ReplayPace(factor: factor, time: time)
      }
      #expect(real.lines.dropLast() == virtual.lines.dropLast() && virtual.lines.count > 8)
      var end = real.end
      end.greatestLagMilliseconds = nil
      #expect(end == virtual.end)
      let took = Double(time.nanoseconds - begun) / 1_000_000
      #expect(abs(took * factor - Double(end.milliseconds)) < 2 + factor / 1_000, "\(took) ms")
    }
  }

  @Test("what is prepared is prepared before time goes by, once, for the lanes that begin then")
  func prepared() async throws {
    let handler = Slow(milliseconds: 50)
    let prepared = Mutex<[Int]>([])
    let outcome = try await replay(
      recording([([0, 1_000], [], true), ([0], [], false), ([2_000], [0], false)]), through: handler, factor: 2
    ) {
      $0.pace = ReplayPace(factor: 10, time: handler.time)
      $0.prepare = { lanes in
        prepared.withLock { $0.append(lanes) }
        handler.time.pass(milliseconds: 700)
      }
    }
    #expect(prepared.withLock { $0 } == [6])
    #expect(outcome.greatestLagMilliseconds == 0 && outcome.end.milliseconds == 2_500)
  }

  @Test("a handler that is slower than the pace falls behind and sees every record, in fuller batches")
  func slowHandler() async throws {
    let bytes = recording([((0..<20).map { Int64($0) * 100 }, [], false)])
    let handler = Slow(milliseconds: 50)
    let outcome = try await replay(bytes, through: handler) {
      $0.pace = ReplayPace(factor: 10, time: handler.time)
    }
    // Half a second goes by in 50 ms: five records come while it works.
    #expect(
      handler.batches.withLock { $0 } == [
        [0], [1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 12, 13, 14, 15], [16, 17, 18, 19],
      ])
    let invocations = try outcome.lines.filter { $0.contains(#""invocation":"#) }.map {
      try JSONDecoder().decode(RunInvocation.self, from: Data($0.utf8))
    }
    #expect(invocations.map { $0.begunAt - Self.begin } == [0, 500, 1_000, 1_500, 2_000])
    #expect(invocations.allSatisfy { $0.endedAt - $0.begunAt == 500 })
    #expect(outcome.greatestLagMilliseconds == 100 && outcome.end.milliseconds == 2_500)
    // Lanes do not wait for one another.
    let two = Slow(milliseconds: 50)
    let both = try await replay(recording([([0], [], false), ([0], [], false)]), through: two) {
      $0.pace = ReplayPace(factor: 10, time: two.time)
    }
    #expect(both.end.milliseconds == 500 && both.end.invocations == 2)
  }

  @Test("a handler has the real time of its timeout, and its invocation ends in the middle of what comes meanwhile")
  func realTimeout() async throws {
    let handler = Slow(milliseconds: 1_000_000)
    var policy = LanePolicy(batchSize: 10, handlerTimeoutMilliseconds: 2_000)
    policy.maximumRetryAttempts = 0
    let outcome = try await replay(
      recording([([0, 5_000], [], false)]), through: handler, policy: policy
    ) {
      $0.pace = ReplayPace(factor: 10, time: handler.time)
    }
    #expect(outcome.end.departures == 2 && outcome.end.failures == 2 && outcome.end.unsettledLanes == [])
    #expect(outcome.end.milliseconds == 40_000)
    #expect(outcome.lines.count { $0.contains(#""failure":"timeout""#) } == 2)
  }

  @Test("what waits in memory stays within its bound: records come later, and none is lost")
  func realTimeRoom() async throws {
    let bytes = recording([((0..<2_000).map { Int64($0) }, [], false)], dataByteCount: 1_000)
    let handler = Slow(milliseconds: 10)
    let outcome = try await replay(bytes, through: handler) {
      $0.pace = ReplayPace(factor: 10, time: handler.time)
      $0.byteLimit = 300_000
    }
    #expect(handler.batches.withLock { $0.flatMap { $0 } } == Array(0..<2_000))
    #expect(outcome.greatestWaitingByteCount < 310_000 && outcome.greatestLagMilliseconds > 10_000)
    // What never gets better ends as it does in virtual time.
    var failing = LanePolicy(batchSize: 10)
    failing.maximumRetryAttempts = nil
    await #expect(throws: ReplayError.self) {
      try await replay(bytes, through: Failing([3: .max]), policy: failing) {
        $0.pace = ReplayPace(factor: 10, time: HandTime())
        $0.byteLimit = 300_000
      }
    }
  }

  @Test("a replay that ends early ends its handlers first")
  func realTimeEnd() async throws {
    var bytes = recording([([0, 10, 20], [], false)])
    bytes[bytes.count - 200] ^= 1
    let handler = Slow(milliseconds: .max / 10_000_000)
    await #expect(throws: ReplayError.self) {
      try await replay(bytes, through: handler) { $0.pace = ReplayPace(factor: 1, time: handler.time) }
    }
    #expect(handler.batches.withLock { $0.count } == 1)
  }

  @Test("the machine's own time goes by")
  func machineTime() async throws {
    let begun = ContinuousClock.now
    let outcome = try await replay(recording([([0, 4_000], [], false)]), through: Failing()) {
      $0.pace = ReplayPace(factor: 100)
    }
    #expect(outcome.end.invocations == 2 && outcome.end.milliseconds >= 4_000)
    #expect(ContinuousClock.now - begun >= .milliseconds(40))
  }

  @Test("a recording that is not as it should be ends the replay with its place")
  func corrupt() async throws {
    var bytes = recording([([0, 10, 20], [], false)])
    bytes[bytes.count - 200] ^= 1
    await #expect(throws: ReplayError.self) { try await replay(bytes, through: Failing()) }
  }
}
