import Foundation
import Sluice
import StreamModel
import Synchronization
import Testing

/// `SLUICE_KILLS` kills (15 by default) with the seed `SLUICE_KILL_SEED`.
@Suite("Kill -9 under load", .timeLimit(.minutes(30)))
struct KillTests {
  private static let kills = number("SLUICE_KILLS") ?? 15
  private static let seed = number("SLUICE_KILL_SEED") ?? 1

  private static func number(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }

  @Test("every acknowledged record is delivered, in order, and only what was in flight twice")
  func killed() async throws {
    let setup = Setup {
      $0.shards = 4
      // Slow enough that there is something in flight when a worker is killed.
      $0.command = #"["python3", "handler.py", "20"]"#
    }
    try await Workplace.with(setup) { place in
      var dice = SplitMix64(seed: UInt64(Self.seed))
      let producer = Producer()
      var account = Account()
      for life in 0..<Self.kills {
        // A cold worker is killed while its lanes open and its handlers start, a warm one while they work.
        let isWarm = Bool.random(using: &dice)
        let worker = try await place.start(life: life, early: !isWarm)
        if isWarm {
          await producer.putOnce(through: worker)
          try await place.isDrained()
        }
        try await producer.put(through: worker, untilAcknowledged: Int.random(in: 0...25, using: &dice))
        account.note(try await place.ask(StatusReport.self, "status"), after: life)
      }
      let last = try await place.start(life: Self.kills)
      try await place.isDrained()
      #expect(await last.drain() == 0)
      account.note(try await place.ask(StatusReport.self, "status"), after: Self.kills)
      account.check(place.delivered, acknowledged: producer.acknowledged)
      print("kill -9, seed \(Self.seed): \(Self.kills) kills, \(account.summary)")
    }
  }
}

/// Puts numbered records as fast as they are acknowledged, with three requests in flight.
private final class Producer: Sendable {
  private struct State {
    var next = 0
    var acknowledged: Set<Int> = []
    var requests = 0
  }

  private let state = Mutex(State())
  private static let recordsPerPut = 20

  var acknowledged: Set<Int> { state.withLock(\.acknowledged) }

  /// Kills the worker as soon as so many requests are acknowledged, which is at any moment of the others' lives.
  func put(through worker: Worker, untilAcknowledged goal: Int) async throws {
    state.withLock { $0.requests = 0 }
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<3 {
        group.addTask { while await self.putOnce(through: worker, goal: goal) {} }
      }
      if goal == 0 { group.addTask { await worker.kill() } }
    }
  }

  /// Returns whether the worker still answers. What it did not answer counts as not acknowledged.
  @discardableResult
  func putOnce(through worker: Worker, goal: Int = .max) async -> Bool {
    let numbers = state.withLock { state in
      defer { state.next += Self.recordsPerPut }
      return state.next..<(state.next + Self.recordsPerPut)
    }
    let records = numbers.map { Packed("\($0)".utf8, key: "key \($0 % 64)".utf8) }
    guard case .stored(let report)? = try? await worker.put(records), report.records == numbers.count else {
      return false
    }
    let isEnough = state.withLock { state in
      state.acknowledged.formUnion(numbers)
      state.requests += 1
      return state.requests == goal
    }
    if isEnough { await worker.kill() }
    return true
  }
}

/// What the store said between the lives of workers, held against what the handler saw in each.
private struct Account {
  /// Batches of a shard that may come again after one kill: a lane goes on while its progress is being stored, over so
  /// many batches at most, and one more is with the handler.
  private static let batchLimit = EventSourceMapping.unstoredBatchLimitOfProcesses + 1
  /// After each life, for each shard, the index of the first record that is not settled.
  private var checkpoints: [Int: [String: UInt64]] = [:]
  /// The index behind the last record of each shard.
  private var ends: [String: UInt64] = [:]
  private var inFlight = InFlight()
  private(set) var summary = ""

  /// The most that one shard had delivered and not yet durably settled when a worker was killed.
  private struct InFlight {
    var batches = 0
    var records: UInt64 = 0
  }

  mutating func note(_ status: StatusReport, after life: Int) {
    for shard in status.streams.first?.shards ?? [] {
      ends[shard.shard] = shard.lastSequenceNumber.flatMap { SequenceNumber($0) }.map { $0.index.rawValue + 1 }
    }
    for lane in status.mappings.first?.lanes ?? [] {
      checkpoints[life, default: [:]][lane.shard] =
        lane.checkpoint.flatMap { SequenceNumber($0) }.map(\.index.rawValue) ?? ends[lane.shard] ?? 0
    }
  }

  mutating func check(_ delivered: [Delivered], acknowledged: Set<Int>) {
    let seen = Set(delivered.compactMap { Int($0.text) })
    #expect(acknowledged.isSubset(of: seen), "lost: \(acknowledged.subtracting(seen).sorted().prefix(10))")
    var repeats = 0
    for (shard, notes) in Dictionary(grouping: delivered, by: { "\($0.sequenceNumber.shard)" }) {
      repeats += check(notes, of: shard)
    }
    let distinct = Set(delivered.map(\.sequenceNumber)).count
    summary =
      "\(acknowledged.count) acknowledged, \(seen.count) delivered (\(seen.count - acknowledged.count) of them "
      + "without an acknowledgement), \(repeats) delivered again; in flight in one shard at one kill: at most "
      + "\(inFlight.batches) batches (allowed \(Self.batchLimit)), \(inFlight.records) records"
    #expect(delivered.count == distinct + repeats)
  }

  /// Goes through the lives of one shard; returns how many records came again.
  private mutating func check(_ notes: [Delivered], of shard: String) -> Int {
    var next: UInt64 = 0
    var repeats: UInt64 = 0
    for (life, part) in Dictionary(grouping: notes, by: \.life).sorted(by: { $0.key < $1.key }) {
      let indexes = part.map(\.sequenceNumber.index.rawValue)
      let first = indexes[0]
      #expect(indexes == Array(first..<(first + UInt64(indexes.count))), "\(shard), life \(life): a gap or a repeat")
      let due = checkpoints[life - 1]?[shard] ?? 0
      #expect(first == due, "\(shard), life \(life) begins at \(first), the checkpoint was \(due)")
      #expect(first <= next, "\(shard), life \(life) skips \(next)..<\(first)")
      let again = next - min(first, next)
      // A life that was short need not have come to the end of what it repeats.
      repeats += min(again, UInt64(indexes.count))
      let end = first + UInt64(indexes.count)
      next = max(next, end)
      let checkpoint = checkpoints[life]?[shard] ?? 0
      #expect(checkpoint <= next, "\(shard), after life \(life): the checkpoint is ahead")
      let unsettled = Set(part.map(\.batch.index.rawValue).filter { $0 >= checkpoint }).count
      #expect(unsettled <= Self.batchLimit, "\(shard), life \(life): more batches were in flight than may be")
      inFlight.batches = max(inFlight.batches, unsettled)
      inFlight.records = max(inFlight.records, end - min(checkpoint, end))
    }
    #expect(next == ends[shard], "\(shard): the end was not delivered")
    return Int(repeats)
  }
}
