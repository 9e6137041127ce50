import EventPattern
import ShardCore
import StreamModel
import StreamStore
import Testing

@testable import StreamRuntime

@Suite("What the store keeps of lanes")
struct CodingTests {
  private static func lane(_ random: inout SplitMix64) -> StoredLane {
    func number(_ limit: UInt64) -> Int { Int(random.next() % limit) }
    var progress = LaneProgress(
      next: RecordIndex(random.next() >> 1), isFinished: number(2) == 0, isPaused: number(2) == 0,
      pieces: (0..<number(4)).map { _ in 1 + number(9_999) }, lostToRetention: random.next(),
      lostToDamage: random.next())
    if random.next() & 1 == 0 {
      let start = WallTime(milliseconds: Int64(random.next() >> 20))
      progress.window = OpenWindow(
        TimeWindow(start: start, end: start.adding(milliseconds: 1_000)),
        state: WindowState([UInt8](repeating: 7, count: number(30))), isEnding: number(2) == 0,
        isTerminatedEarly: number(2) == 0)
    }
    var history = AttemptHistory()
    let sharing = Self.sharing(&random)
    let moment = { (random: inout SplitMix64) in WallTime(milliseconds: Int64(random.next() >> 20)) }
    for attempt in 0..<number(14) {
      let batch = AttemptedBatch(
        first: RecordIndex(random.next() >> 1), last: RecordIndex(random.next() >> 1), count: number(10_000),
        position: number(2) == 0 ? nil : number(10_000))
      history.append(
        AttemptRecord(
          startedAt: moment(&random), durationMilliseconds: Int64(number(1 << 30)),
          kind: FailureKind.allCases[number(UInt64(FailureKind.allCases.count))], type: "Error\(attempt)",
          message: String(repeating: "é", count: number(30)),
          trace: (0..<number(4)).map { "line \($0)" }, requestID: RequestID.make(),
          rule: number(2) == 0 ? nil : "rule \(attempt)", batch: number(2) == 0 ? nil : batch,
          redriver: number(2) == 0 ? nil : "ada"))
    }
    guard number(4) > 0 else { return StoredLane(progress: progress, history: history, sharing: sharing) }
    progress.failing = FailingBatch(
      extent: BatchExtent(
        first: progress.next, last: progress.next.advanced(by: number(1 << 40)), count: 1 + number(10_000),
        firstArrival: moment(&random), lastArrival: moment(&random),
        payloadBytes: number(6 << 20)),
      attempts: number(9_999), systemFailures: number(9_999),
      lastFailure: FailureKind.allCases[number(UInt64(FailureKind.allCases.count))], firstFailedAt: moment(&random),
      lastFailedAt: moment(&random), retryAt: moment(&random),
      givenUp: [nil, .batch, .firstRecord][number(3)])
    return StoredLane(progress: progress, history: history, sharing: sharing)
  }

  /// Half of them that of a lane alone.
  private static func sharing(_ random: inout SplitMix64) -> LaneSharing {
    guard random.next() & 1 == 0 else { return .whole }
    let factors = (1...10).filter { _ in random.next() % 4 == 0 }
    let former = factors.map { factor in
      LaneSharing.FormerLanes(ends: (0..<factor).map { _ in RecordIndex(random.next() >> 1) })
    }
    return LaneSharing(factor: 1 + Int(random.next() % 10), formerLanes: former)
  }

  @Test("a lane comes back as it was stored", arguments: UInt64(1)...200)
  func roundTrip(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let lane = Self.lane(&random)
    #expect(try StoredLane(decoding: lane.encoded()) == lane)
  }

  @Test("the failing final delivery of a window comes back, and is nothing without the window")
  func finalDelivery() throws {
    let now = WallTime(milliseconds: 5)
    let failing = FailingBatch(
      extent: .empty(at: RecordIndex(8), arrival: now), attempts: 2, systemFailures: 0, lastFailure: .error,
      firstFailedAt: now, lastFailedAt: now, retryAt: now)
    var progress = LaneProgress(next: RecordIndex(8), failing: failing)
    let without = StoredLane(progress: progress, history: AttemptHistory())
    #expect(throws: LaneRecordError.malformed) { try StoredLane(decoding: without.encoded()) }
    progress.window = OpenWindow(TimeWindow(start: now, end: WallTime(milliseconds: 9)), isEnding: true)
    let lane = StoredLane(progress: progress, history: AttemptHistory())
    #expect(try StoredLane(decoding: lane.encoded()) == lane)
  }

  @Test("a lane cut short anywhere, or with something behind it, is refused", arguments: UInt64(1)...20)
  func truncated(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let bytes = Self.lane(&random).encoded()
    for count in bytes.indices {
      #expect(throws: LaneRecordError.malformed) { try StoredLane(decoding: Array(bytes.prefix(count))) }
    }
    #expect(throws: LaneRecordError.malformed) { try StoredLane(decoding: bytes + [0]) }
  }

  @Test("a lane with any byte changed is read or refused, and nothing else")
  func damaged() {
    var random = SplitMix64(seed: 3)
    let bytes = Self.lane(&random).encoded()
    for position in bytes.indices {
      var damaged = bytes
      damaged[position] ^= 0xff
      if let lane = try? StoredLane(decoding: damaged) { _ = lane.progress.failing?.extent.end }
    }
  }

  @Test("a lane alone on its shard is stored as it was before lanes could share one")
  func wholeFormat() {
    let lane = StoredLane(progress: LaneProgress(next: RecordIndex(0x0102)), history: AttemptHistory())
    let zeros = [UInt8](repeating: 0, count: 22)
    #expect(lane.encoded() == [2, 0, 2, 1] + zeros)
  }

  @Test("a factor outside of its range, and two generations of as many lanes, are refused")
  func damagedSharing() {
    for bytes in [[3, 0, 0], [3, 11, 0], [3, 2, 1, 0]] as [[UInt8]] {
      #expect(throws: LaneRecordError.malformed) { try StoredLane(decoding: bytes + [UInt8](repeating: 0, count: 64)) }
    }
    let end = [UInt8](repeating: 0, count: 8)
    let twice: [UInt8] = [3, 2, 2, 1] + end + [1] + end
    let progress = [UInt8](repeating: 0, count: 25)
    #expect(throws: LaneRecordError.malformed) { try StoredLane(decoding: twice + progress) }
  }

  @Test("a lane of a newer version says so")
  func newer() {
    #expect(throws: LaneRecordError.unknownVersion(9)) { try StoredLane(decoding: [9, 0]) }
  }

  @Test("settings come back, with and without their optional parts", arguments: [nil, 0, 10_000])
  func settings(limit: Int?) {
    let policy = LanePolicy(
      batchSize: 7, payloadByteLimit: 8, windowMilliseconds: 9, maximumRetryAttempts: limit,
      maximumRecordAgeMilliseconds: limit.map { Int64($0) }, bisectsBatchOnError: limit == 0,
      handlerTimeoutMilliseconds: 11,
      retryBackoff: Backoff(firstMilliseconds: 1, capMilliseconds: 2, jitterPercent: 3), deliveriesInFlightLimit: 12,
      unstoredBatchLimit: 13)
    var settings = MappingSettings(stream: StreamNumber(5), policy: policy)
    if limit != nil { settings.parameters = ["BatchSize": "7", "FilterCriteria": "{\"a\":[\"é\"]}"] }
    settings.isConfigured = limit != 0
    settings.lastResult = limit == nil ? .none : .functionFailed
    if limit == 0 {
      for number in 0..<3 {
        let example = FilterExample(
          sequenceNumber: SequenceNumber(
            shardCreatedAtSeconds: 9, shard: ShardNumber(1), index: RecordIndex(UInt64(number))), partitionKey: "é",
          arrival: WallTime(milliseconds: 3), data: [0, 255], dataByteCount: 900, reason: "so")
        settings.filterExamples.add(
          example, of: number < 2 ? .notJSON(JSONFault(kind: .notUTF8, offset: 0)) : .undecided)
      }
    }
    if limit == 10_000 {
      let backoff = Backoff(firstMilliseconds: 1, capMilliseconds: 9, jitterPercent: 7, growthPercent: 150)
      settings.retryRules = [
        RetryRule("é", kinds: [.exited, .throttled], errorTypes: ["A*", ""], messages: ["*b"], then: .giveUp),
        RetryRule("", then: .retry(usesAttempt: nil, nil)), RetryRule("c", then: .retry(usesAttempt: false, backoff)),
        RetryRule("d", kinds: Set(FailureKind.allCases), then: .retry(usesAttempt: true, .system)),
      ]
      #expect(settings.policy.retryRules?.actions.count == 4)
    }
    let bytes = settings.encoded()
    #expect(MappingSettings(decoding: bytes) == settings)
    // What ends before the examples is what a version without them wrote.
    settings.filterExamples = FilterExamples()
    settings.retryRules = []
    let plain = settings.encoded().count
    for count in bytes.indices where count != plain {
      #expect(MappingSettings(decoding: Array(bytes.prefix(count))) == nil)
    }
    #expect(MappingSettings(decoding: bytes + [0]) == nil)
  }

  @Test("a history keeps its first attempts and its last, and counts the others; only the newest are kept whole")
  func bounds() {
    var history = AttemptHistory()
    let long = String(repeating: "x", count: 1_000)
    for number in 1...60 { history.append(attempt("\(number) \(long)", trace: ["line"])) }
    let numbers = history.attempts.map { $0.message.prefix { $0 != " " } }
    #expect(numbers.compactMap { Int($0) } == Array(1...4) + Array(33...60))
    #expect(history.omitted == 28)
    #expect(history.attempts.suffix(8).allSatisfy { $0.trace == ["line"] && $0.message.utf8.count > 1_000 })
    #expect(history.attempts.dropLast(8).allSatisfy { $0.trace.isEmpty && $0.message.utf8.count < 520 })
  }

  @Test("messages and traces are cut between characters, and say so")
  func cuts() throws {
    var history = AttemptHistory()
    history.append(attempt(String(repeating: "é", count: 3_000) + "!", trace: (0..<100).map { "\($0)" }))
    let kept = try #require(history.last)
    #expect(kept.message == String(repeating: "é", count: 2_048) + "…")
    #expect(kept.trace.count == AttemptHistory.traceLineLimit + 1)
    #expect(kept.trace.first == "… 36 lines left out")
    #expect("aé".cut(toUTF8: 2) == "a…")
  }

  private func attempt(_ message: String, trace: [String] = []) -> AttemptRecord {
    AttemptRecord(
      startedAt: .zero, durationMilliseconds: 0, kind: .error, type: "Error", message: message, trace: trace,
      requestID: "")
  }
}
