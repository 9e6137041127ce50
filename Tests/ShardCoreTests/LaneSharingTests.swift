import StreamModel
import Testing

@testable import ShardCore

/// Who does which record, also when the number of lanes changes.
@Suite("Lanes that share a shard")
struct LaneSharingTests {
  /// A shard of records with random keys, worked on by lanes of changing factors. Each does some of its records, in order.
  private struct Shard {
    var random: SplitMix64
    let hashes: [UInt64]
    var lanes: [(sharing: LaneSharing, progress: LaneProgress)]
    /// How often each record was done.
    var done: [Int]
    /// The last record of each key that was done.
    var last: [UInt64: Int] = [:]
    var isOrdered = true

    init(seed: UInt64) {
      random = SplitMix64(seed: seed)
      var keys = SplitMix64(seed: seed &+ 1)
      hashes = (0..<300).map { _ in SplitMix64.hash(of: keys.next() % 17) }
      done = Array(repeating: 0, count: hashes.count)
      let factor = 1 + Int(random.next() % 10)
      lanes = Array(repeating: (LaneSharing(factor: factor), LaneProgress()), count: factor)
    }

    mutating func work(_ slot: Int, upTo end: Int) {
      var lane = lanes[slot]
      let first = Int(lane.progress.next.rawValue)
      guard first < end else { return }
      for index in first..<end
      where lane.sharing.takes(RecordIndex(UInt64(index)), keyHash: hashes[index], slot: slot) {
        done[index] += 1
        if let last = last[hashes[index]], last >= index { isOrdered = false }
        last[hashes[index]] = index
      }
      lane.progress.next = RecordIndex(UInt64(end))
      // As it is stored and found again.
      lane.sharing = lane.sharing.beyond(lane.progress.next)
      lanes[slot] = lane
    }
  }

  @Test("each record is done once and each key stays in order, whatever the factors were", arguments: UInt64(0)..<200)
  func anyFactors(seed: UInt64) {
    var shard = Shard(seed: seed)
    for _ in 0..<8 {
      for slot in shard.lanes.indices where shard.random.next() % 3 > 0 {
        shard.work(slot, upTo: Int(shard.random.next() % UInt64(shard.hashes.count + 1)))
      }
      shard.lanes = LaneSharing.changing(shard.lanes, to: 1 + Int(shard.random.next() % 10))
      for lane in shard.lanes {
        let factors = lane.sharing.formerLanes.map(\.ends.count)
        #expect(Set(factors).count == factors.count)
      }
    }
    for slot in shard.lanes.indices { shard.work(slot, upTo: shard.hashes.count) }
    #expect(shard.isOrdered)
    #expect(shard.done.allSatisfy { $0 == 1 })
    #expect(shard.lanes.flatMap(\.sharing.formerLanes).isEmpty)
  }

  @Test("where all lanes stand at one place nothing is remembered of them")
  func common() {
    let lanes = Array(
      repeating: (sharing: LaneSharing(factor: 3), progress: LaneProgress(next: RecordIndex(9))), count: 3)
    let changed = LaneSharing.changing(lanes, to: 2)
    #expect(changed.map(\.sharing) == [LaneSharing(factor: 2), LaneSharing(factor: 2)])
    #expect(changed.map(\.progress.next) == [RecordIndex(9), RecordIndex(9)])
  }

  @Test("one paused lane pauses all; all finished lanes are finished; losses are shared out")
  func states() {
    var lanes = Array(repeating: (sharing: LaneSharing(factor: 2), progress: LaneProgress()), count: 2)
    lanes[1].progress.isPaused = true
    lanes[0].progress.isFinished = true
    lanes[0].progress.lostToRetention = 5
    lanes[1].progress.lostToDamage = 4
    let expected = LaneProgress(isPaused: true, lostToRetention: 3, lostToDamage: 2)
    #expect(LaneSharing.changing(lanes, to: 3).map(\.progress) == [expected, expected, expected])
    lanes[1].progress.isFinished = true
    #expect(LaneSharing.changing(lanes, to: 1).map(\.progress.isFinished) == [true])
  }
}

extension SplitMix64 {
  fileprivate static func hash(of key: UInt64) -> UInt64 {
    var random = SplitMix64(seed: key)
    return random.next()
  }
}
