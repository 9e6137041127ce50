import LMDB
import StreamModel
@testable import StreamStore
import Testing

@Suite("StreamStore: the log of parked records", .timeLimit(.minutes(10)))
struct ParkedLogTests {
  let folder = TemporaryStore()

  // MARK: A little vocabulary

  /// A lane of a new store, closed again.
  private func makeLane() throws -> LaneKey {
    let store = try folder.open()
    let stream = try store.create()
    return LaneKey(mapping: try store.map("m").number, address: .first(of: stream))
  }

  private func state(_ key: UInt64, before index: UInt64) -> ParkedUpdate {
    ParkedUpdate(
      key: PartitionKeyHash(key),
      change: .changed(payload: [UInt8(truncatingIfNeeded: index)], settledBefore: RecordIndex(index)))
  }

  private func removed(_ key: UInt64) -> ParkedUpdate { ParkedUpdate(key: PartitionKeyHash(key), change: .removed) }

  private func records(_ pairs: [(key: UInt64, index: UInt64)]) -> [ParkedRecord] {
    pairs.map { ParkedRecord(key: PartitionKeyHash($0.key), index: RecordIndex($0.index)) }
  }

  private func put(
    _ changes: [ParkedUpdate], _ added: [(key: UInt64, index: UInt64)], _ lane: LaneKey, in store: StreamStore
  ) throws {
    let next = RecordIndex(added.last.map { $0.index + 1 } ?? 0)
    try store.performBlocking(
      .storeLanes([
        LaneUpdate(
          key: lane, record: LaneRecord(next: next, payload: []), parked: changes, parkedRecords: records(added))
      ]))
  }

  private func ranges(of lane: LaneKey, in store: StreamStore) throws -> [UInt64: [ClosedRange<UInt64>]] {
    var result: [UInt64: [ClosedRange<UInt64>]] = [:]
    for key in try store.parkedKeys(of: lane) {
      result[key.key.rawValue] = key.ranges.map { $0.first.rawValue...$0.last.rawValue }
    }
    return result
  }

  private func rowCount(_ table: SmallTable.Kind) throws -> Int {
    let environment = try Environment(path: folder.path, options: EnvironmentOptions(mapBytes: 1 << 30))
    guard let table = try environment.openTables([table.name])[0] else { return 0 }
    return try environment.read { transaction throws(LMDBError) in try transaction.statistics(of: table).entryCount }
  }

  // MARK: Tests

  @Test("one row for each progress, whatever the keys; neighbours of a key are one range")
  func rows() throws {
    let lane = try makeLane()
    do {
      let store = try folder.open()
      try put([state(7, before: 2), state(9, before: 3)], [(7, 2), (9, 3), (7, 4), (7, 5), (7, 6)], lane, in: store)
      try put([], [(7, 7), (9, 8), (9, 9)], lane, in: store)
      try put([], [], lane, in: store)
    }
    #expect(try rowCount(.parkedLog) == 2)
    let looker = try folder.open(role: .looker)
    #expect(try ranges(of: lane, in: looker) == [7: [2...2, 4...7], 9: [3...3, 8...9]])
    #expect(try looker.parkedKeys(of: lane).map(\.payload) == [[2], [3]])
    #expect(try looker.check().problems.isEmpty)
  }

  @Test("a key that is parked no more takes its records along, and the last one the log")
  func removal() throws {
    let lane = try makeLane()
    do {
      let store = try folder.open()
      try put([state(7, before: 0), state(9, before: 1)], [(7, 0), (9, 1), (7, 2)], lane, in: store)
      try put([removed(7)], [(7, 3), (9, 4)], lane, in: store)
      #expect(try ranges(of: lane, in: store) == [9: [1...1, 4...4]])
    }
    #expect(try rowCount(.parkedLog) == 2)
    do {
      let store = try folder.open()
      try put([removed(9)], [(9, 5)], lane, in: store)
      #expect(try ranges(of: lane, in: store) == [:])
    }
    #expect(try rowCount(.parkedLog) == 0)
    #expect(try rowCount(.parked) == 0)
  }

  @Test("a lane that is no more, and a mapping that is deleted, leave nothing", arguments: [true, false])
  func gone(lane isLane: Bool) throws {
    let lane = try makeLane()
    do {
      let store = try folder.open()
      try put([state(7, before: 0)], [(7, 0), (7, 2)], lane, in: store)
      try store.performBlocking(
        isLane ? .storeLanes([LaneUpdate(key: lane, record: nil)]) : .deleteMapping(lane.mapping))
    }
    #expect(try rowCount(.parkedLog) == 0)
    #expect(try rowCount(.parked) == 0)
  }

  @Test("a long log is emptied into the rows of its keys, without those that are parked no more")
  func emptied() throws {
    let lane = try makeLane()
    let last = StoreWriter.logRowLimit - 1
    do {
      let store = try folder.open()
      try put([state(7, before: 0), state(8, before: 0), state(9, before: 0)], [], lane, in: store)
      for index in 0..<last { try put([], [(7 + index % 3, index)], lane, in: store) }
    }
    #expect(try rowCount(.parkedLog) == Int(last))
    let sevens = (0..<last).filter { $0 % 3 == 0 && $0 != last - 1 }.map { $0...$0 }
    let nines = (0..<last).filter { $0 % 3 == 2 }
    do {
      let store = try folder.open()
      try put([removed(8)], [(7, last)], lane, in: store)
      let parked = try ranges(of: lane, in: store)
      #expect(parked.keys.sorted() == [7, 9])
      #expect(parked[9] == nines.map { $0...$0 })
      #expect(parked[7] == sevens + [(last % 3 == 1 ? last - 1 : last)...last])
    }
    #expect(try rowCount(.parkedLog) == 0)
    // What is known of two keys, and a row of the records of each.
    #expect(try rowCount(.parked) == 4)
    let store = try folder.open()
    try put([state(9, before: last)], [(9, last + 1)], lane, in: store)
    #expect(try ranges(of: lane, in: store)[9] == [last + 1...last + 1])
    #expect(try ranges(of: lane, in: store)[7]?.count == sevens.count + 1)
    #expect(try store.check().problems.isEmpty)
  }

  @Test("many records at once empty the log too, and nobody waits for its number of rows")
  func manyRecords() throws {
    let lane = try makeLane()
    let count = StoreWriter.logEntryLimit + 10_000
    do {
      let store = try folder.open()
      let added = (0..<count).map { (key: $0 % 2, index: $0) }
      try put([state(0, before: 0), state(1, before: 0)], added, lane, in: store)
      #expect(try ranges(of: lane, in: store)[1]?.count == Int(count / 2))
    }
    #expect(try rowCount(.parkedLog) == 0)
    #expect(try folder.open(role: .looker).check().problems.isEmpty)
  }

  @Test("a damaged row is told to whoever reads the lane, and holds up nobody else")
  func damaged() throws {
    let lane = try makeLane()
    let last = StoreWriter.logRowLimit - 1
    do {
      let store = try folder.open()
      try put([state(7, before: 0)], [(7, 0)], lane, in: store)
      for index in 1..<last - 1 { try put([], [(7, index)], lane, in: store) }
    }
    try folder.change(SmallTable.Kind.parkedLog.name) { $0[14] ^= 1 }
    let store = try folder.open()
    for index in last - 1..<last + 12 { try put([], [(7, index)], lane, in: store) }
    #expect(try store.lane(lane)?.next == RecordIndex(last + 12))
    #expect(throws: StoreError.self) { try store.parkedKeys(of: lane) }
  }

  /// The rows that format 3 had: records only among those of their keys.
  @Test("a writer makes a store of format 3 the present one, with all that is parked; to look is refused until then")
  func updated() throws {
    let lane = try makeLane()
    do {
      let store = try folder.open()
      try put([state(7, before: 1), state(9, before: 4)], [], lane, in: store)
    }
    try folder.drop(SmallTable.Kind.parkedLog.name)
    do {
      let environment = try Environment(path: folder.path, options: EnvironmentOptions(mapBytes: 1 << 30))
      let tables = try environment.openTables([SmallTable.Kind.parked.name, SmallTable.Kind.meta.name])
      let parked = SmallTable(kind: .parked, database: try #require(tables[0]))
      let meta = SmallTable(kind: .meta, database: try #require(tables[1]))
      try environment.write { transaction throws(LMDBError) in
        for (key, ranges) in [7: [(1, 2), (5, 1)], 9: [(4, 1)]] as [UInt64: [(UInt64, UInt64)]] {
          var row = Key(parkedOf: lane, PartitionKeyHash(key))
          row.append(ranges[0].0)
          var writer = ByteWriter()
          writer.write(UInt32(ranges.count))
          for (first, count) in ranges {
            writer.write(first)
            writer.write(count)
          }
          try transaction.put(row, writer.bytes, in: parked)
        }
        var format = ByteWriter()
        format.write(UInt64(3))
        try transaction.put(MetaName.format, format.bytes, in: meta)
      }
    }
    let refusal = StoreError.olderFormat(found: 3, supported: 4)
    #expect(throws: refusal) { try folder.open(role: .looker) }
    #expect(refusal.description.contains("the store has format 3"))
    #expect(refusal.description.contains("start a writer of this version once"))
    do {
      let store = try folder.open()
      #expect(try ranges(of: lane, in: store) == [7: [1...2, 5...5], 9: [4...4]])
      try put([], [(7, 6), (9, 8)], lane, in: store)
    }
    let store = try folder.open(role: .looker)
    #expect(try ranges(of: lane, in: store) == [7: [1...2, 5...6], 9: [4...4, 8...8]])
    #expect(try store.check().problems.isEmpty)
  }

  /// Keys are parked, settled in part, parked no more and parked again, as lanes do it. What is unsettled by the word of
  /// what is known of each key is what a plain list of it says, after each restart too.
  @Test(
    "whatever the order of things, the log and the rows of the keys are what was parked",
    arguments: 0..<8 as Range<UInt64>)
  func anyOrder(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let lane = try makeLane()
    var unsettled: [UInt64: [UInt64]] = [:]
    var settledBefore: [UInt64: UInt64] = [:]
    var next: UInt64 = 0
    for _ in 0..<6 {
      let store = try folder.open()
      for _ in 0..<90 {
        var changes: [ParkedUpdate] = []
        var added: [(key: UInt64, index: UInt64)] = []
        for key in 0..<6 as Range<UInt64> {
          switch random.next() % 16 {
          case 0 where unsettled[key] != nil:
            unsettled[key] = nil
            changes.append(removed(key))
          case 1, 2:
            guard let former = unsettled[key], let place = former.indices.last(where: { _ in random.next() % 2 == 0 })
            else { continue }
            settledBefore[key] = former[place] + 1
            unsettled[key] = Array(former[(place + 1)...])
            changes.append(state(key, before: former[place] + 1))
          case 3 where unsettled[key] == nil:
            unsettled[key] = []
            settledBefore[key] = next
            changes.append(state(key, before: next))
          default: break
          }
        }
        for _ in 0..<random.next() % 20 {
          let key = random.next() % 8
          if unsettled[key] != nil {
            unsettled[key]?.append(next)
            added.append((key, next))
          }
          next += 1
        }
        try put(changes, added, lane, in: store)
      }
      var found: [UInt64: [UInt64]] = [:]
      for key in try store.parkedKeys(of: lane) {
        let before = settledBefore[key.key.rawValue] ?? 0
        found[key.key.rawValue] = key.ranges.flatMap { Array($0.first.rawValue...$0.last.rawValue) }
          .filter { $0 >= before }
      }
      #expect(found == unsettled)
    }
    #expect(try folder.open(role: .looker).check().problems.isEmpty)
  }
}
