import ShardCore
import StreamModel
import Testing

/// Moving the lanes of a mapping on one shard.
@Suite("A shard's lanes go to another position")
struct ShardSeekTests {
  private func seek(_ lanes: [ShardSeek.Lane], isClosed: Bool = false) -> ShardSeek {
    ShardSeek(lanes: lanes, firstAvailable: RecordIndex(10), end: RecordIndex(100), isClosed: isClosed)
  }

  private func lane(at next: UInt64, _ change: (inout ShardSeek.Lane) -> Void = { _ in }) -> ShardSeek.Lane {
    var lane = ShardSeek.Lane(progress: LaneProgress(next: RecordIndex(next)))
    change(&lane)
    return lane
  }

  private func range(_ first: UInt64, _ count: UInt64) -> RecordRange {
    RecordRange(first: RecordIndex(first), count: count)
  }

  private func failing(_ first: UInt64, _ count: Int) -> FailingBatch {
    let extent = BatchExtent(
      first: RecordIndex(first), count: count, firstArrival: .zero, lastArrival: .zero, payloadBytes: 1)
    return FailingBatch(
      extent: extent, attempts: 3, systemFailures: 0, lastFailure: .error, firstFailedAt: .zero, lastFailedAt: .zero,
      retryAt: .zero)
  }

  @Test("back: what lies between comes again, and nothing is skipped")
  func back() throws {
    let move = try #require(seek([lane(at: 60)]).moves(to: RecordIndex(40)).first)
    #expect(move.again == range(40, 20))
    #expect(move.skipped == nil)
    #expect(move.obstacles.isEmpty)
    #expect(move.progress == LaneProgress(next: RecordIndex(40)))
  }

  @Test("forward: what lies between is skipped, and nothing comes again")
  func forward() throws {
    let move = try #require(seek([lane(at: 60)]).moves(to: RecordIndex(75)).first)
    #expect(move.skipped == range(60, 15))
    #expect(move.again == nil)
    #expect(move.progress.next == RecordIndex(75))
  }

  @Test("no lane goes beyond what is there", arguments: [(UInt64(0), UInt64(10)), (200, 100)])
  func bounds(position: UInt64, expected: UInt64) throws {
    let move = try #require(seek([lane(at: 60)]).moves(to: RecordIndex(position)).first)
    #expect(move.to == RecordIndex(expected) && move.progress.next == RecordIndex(expected))
  }

  @Test("a lane that stands there stays as it is, with its failing batch and its parked keys")
  func stays() {
    let busy = lane(at: 60) {
      $0.progress.failing = failing(60, 5)
      $0.progress.parked = [ParkedKeyChange(key: PartitionKeyHash(1), state: nil, ranges: [range(20, 3)])]
    }
    #expect(seek([busy]).moves(to: RecordIndex(60)).isEmpty)
  }

  @Test(
    "a paused lane stays paused, and what it has lost stays counted; retention's part is counted where it is passed")
  func kept() throws {
    let old = lane(at: 4) {
      $0.progress.isPaused = true
      $0.progress.lostToDamage = 7
      $0.progress.lostToRetention = 1
    }
    let move = try #require(seek([old]).moves(to: RecordIndex(100)).first)
    #expect(move.progress.isPaused && move.progress.lostToDamage == 7)
    #expect(move.progress.lostToRetention == 7)
    #expect(move.skipped == range(10, 90))
  }

  @Test("at the end of a closed shard a lane is finished, and before it it is not")
  func closed() throws {
    let finished = lane(at: 100) { $0.progress.isFinished = true }
    let back = try #require(seek([finished], isClosed: true).moves(to: RecordIndex(99)).first)
    #expect(!back.progress.isFinished)
    let forward = try #require(seek([lane(at: 60)], isClosed: true).moves(to: RecordIndex(100)).first)
    #expect(forward.progress.isFinished)
    let open = try #require(seek([lane(at: 60)]).moves(to: RecordIndex(100)).first)
    #expect(!open.progress.isFinished)
  }

  @Test("a batch under retry is in the way of going on behind it, and comes again before it")
  func failingBatch() throws {
    let retrying = seek([lane(at: 60) { $0.progress.failing = failing(60, 5) }])
    let forward = try #require(retrying.moves(to: RecordIndex(61)).first)
    #expect(forward.obstacles == [.failingBatch(records: 5, first: RecordIndex(60))])
    let back = try #require(retrying.moves(to: RecordIndex(59)).first)
    #expect(back.obstacles.isEmpty && back.forgottenAttempts == 3 && back.progress.failing == nil)
  }

  @Test("batches that were cut from one are in the way as well")
  func pieces() throws {
    let split = seek([lane(at: 60) { $0.progress.pieces = [2, 3] }])
    let forward = try #require(split.moves(to: RecordIndex(90)).first)
    #expect(forward.obstacles == [.splitBatch(records: 5, first: RecordIndex(60))])
    #expect(try #require(split.moves(to: RecordIndex(20)).first).obstacles.isEmpty)
  }

  @Test("parked records are in the way of a position behind them, and come again from one before them")
  func parkedKeys() throws {
    let (a, b) = (PartitionKeyHash(1), PartitionKeyHash(2))
    let parking = seek([
      lane(at: 60) {
        $0.progress.parksKeys = true
        $0.progress.parked = [
          ParkedKeyChange(key: a, state: nil, ranges: [range(20, 3), range(40, 2)]),
          ParkedKeyChange(key: b, state: nil, ranges: [range(50, 1)]),
        ]
      }
    ])
    let middle = try #require(parking.moves(to: RecordIndex(41)).first)
    #expect(middle.obstacles == [.parkedKeys(1, records: 4)])
    let forward = try #require(parking.moves(to: RecordIndex(100)).first)
    #expect(forward.obstacles == [.parkedKeys(2, records: 6)])
    let back = try #require(parking.moves(to: RecordIndex(20)).first)
    #expect(back.obstacles.isEmpty && back.unparkedKeys == 2)
    #expect(back.progress.parked.map(\.key) == [a, b] && back.progress.parked.allSatisfy { $0.state == nil })
    #expect(!back.progress.parksKeys)
  }

  @Test("an open window is in the way unless all its records come again")
  func window() throws {
    let bounds = TimeWindow(start: WallTime(milliseconds: 0), end: WallTime(milliseconds: 60_000))
    let windowed = seek([
      lane(at: 60) {
        $0.progress.window = OpenWindow(bounds)
        $0.windowBegin = RecordIndex(55)
      }
    ])
    for position in [UInt64(56), 61] {
      let move = try #require(windowed.moves(to: RecordIndex(position)).first)
      #expect(move.obstacles == [.openWindow(bounds)])
    }
    let back = try #require(windowed.moves(to: RecordIndex(55)).first)
    #expect(back.obstacles.isEmpty && back.progress.window == nil)
  }

  @Test("what former lanes had settled behind the position is to come again, from lanes that stand there too")
  func formerLanes() throws {
    let sharing = LaneSharing(
      factor: 2, formerLanes: [LaneSharing.FormerLanes(ends: [RecordIndex(70), RecordIndex(50), RecordIndex(50)])])
    let lanes = [lane(at: 50) { $0.sharing = sharing }, lane(at: 65) { $0.sharing = sharing }]
    let moves = seek(lanes).moves(to: RecordIndex(50))
    #expect(moves.map(\.slot) == [0, 1])
    #expect(moves.allSatisfy { $0.sharing == LaneSharing(factor: 2) })
    #expect(moves.map(\.again) == [nil, range(50, 15)])
  }

  @Test(
    "a copy begins at the first record that is not settled or belongs to the open window, without what it has been through"
  )
  func copies() {
    let key = PartitionKeyHash(1)
    let lanes = [
      lane(at: 60) {
        $0.progress.failing = failing(60, 5)
        $0.progress.isPaused = true
      },
      lane(at: 60) { $0.progress.parked = [ParkedKeyChange(key: key, state: nil, ranges: [range(20, 3)])] },
      lane(at: 60) {
        $0.progress.window = OpenWindow(TimeWindow(start: .zero, end: WallTime(milliseconds: 1)))
        $0.windowBegin = RecordIndex(30)
      },
      lane(at: 100) { $0.progress.isFinished = true },
    ]
    let copies = seek(lanes, isClosed: true).copies().map(\.progress)
    let expected: [(UInt64, Bool)] = [(60, false), (20, false), (30, false), (100, true)]
    #expect(copies == expected.map { LaneProgress(next: RecordIndex($0.0), isFinished: $0.1) })
  }
}
