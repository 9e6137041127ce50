import StreamModel
import Testing

@Suite("Table scope")
struct TableScopeTests {
  /// Durable entries of a test.
  struct Fixed: TableReading {
    var entries: [TableEntryKey: [UInt8]] = [:]

    func value(of key: TableEntryKey) -> [UInt8]? { entries[key] }

    func forEach(from key: TableEntryKey, _ body: (TableEntryKey, [UInt8]) -> Bool) {
      for (key, value) in entries.filter({ $0.key >= key }).sorted(by: { $0.key < $1.key }) {
        guard body(key, value) else { return }
      }
    }
  }

  static func entry(_ table: String, _ key: [UInt8], _ owner: TableOwner = .lane) throws -> TableEntryKey {
    TableEntryKey(bytes: try TableEntryKey.prefix(table, owner, in: TableLane(shard: ShardNumber(0))) + key)
  }

  @Test("a read gives the handler's own write, else an earlier batch's, else what is durable")
  func layers() throws {
    let names: [[UInt8]] = [[1], [2], [3], [4]]
    let keys = try names.map { try Self.entry("t", $0) }
    let durable = Fixed(entries: [keys[0]: [0], keys[1]: [0], keys[2]: [0], keys[3]: [0]])
    let earlier: [TableWrites] = [
      [keys[1]: [20], keys[2]: nil], [keys[0]: [10], keys[1]: [10], keys[2]: [10]],
    ]
    var scope = TableScope(tables: durable, earlier: earlier, recordCount: 1)
    #expect(try names.map { try scope.get($0, from: "t") } == [[10], [20], nil, [0]])
    try scope.put([3], [30], into: "t")
    try scope.delete([4], from: "t")
    #expect(try names.map { try scope.get($0, from: "t") } == [[10], [20], [30], nil])
    #expect(try scope.scan("t").map(\.key) == [[1], [2], [3]])
    #expect(try scope.scan("t").map(\.value) == [[10], [20], [30]])
    #expect(try scope.get([1], from: "u") == nil)
    #expect(try scope.get([1], from: "t", of: .partitionKey(HashKey(7))) == nil)
  }

  @Test("a scan is what a dictionary with the same history would give", arguments: 1...200 as ClosedRange<UInt64>)
  func scans(seed: UInt64) throws {
    var dice = SplitMix64(seed: seed)
    var model: [[UInt8]: [UInt8]] = [:]
    var durable = Fixed()
    var earlier: [TableWrites] = []
    func key(_ dice: inout SplitMix64) -> [UInt8] {
      (0..<Int.random(in: 1...3, using: &dice)).map { _ in UInt8.random(in: 0...2, using: &dice) }
    }
    for _ in 0..<Int.random(in: 0...12, using: &dice) {
      let (place, value) = (key(&dice), [UInt8.random(in: 0...255, using: &dice)])
      model[place] = value
      durable.entries[try Self.entry("t", place)] = value
    }
    for _ in 0..<Int.random(in: 0...2, using: &dice) {
      var layer: TableWrites = [:]
      for _ in 0..<Int.random(in: 1...6, using: &dice) {
        let place = key(&dice)
        let value: [UInt8]? = Bool.random(using: &dice) ? [UInt8.random(in: 0...255, using: &dice)] : nil
        model[place] = value
        layer[try Self.entry("t", place)] = .some(value)
      }
      earlier.insert(layer, at: 0)
    }
    var scope = TableScope(tables: durable, earlier: earlier, recordCount: 1)
    for _ in 0..<Int.random(in: 0...8, using: &dice) {
      let place = key(&dice)
      if Bool.random(using: &dice) {
        let value = [UInt8.random(in: 0...255, using: &dice)]
        model[place] = value
        try scope.put(place, value, into: "t")
      } else {
        model[place] = nil
        try scope.delete(place, from: "t")
      }
    }
    // A neighbour in both directions is not in the way.
    try scope.put([1], [1], into: "s")
    try scope.put([1], [1], into: "u")
    for _ in 0..<10 {
      let prefix = Bool.random(using: &dice) ? key(&dice).prefix(1) : []
      let start = Bool.random(using: &dice) ? key(&dice) : []
      let limit = Int.random(in: 1...12, using: &dice)
      let expected = model.filter { $0.key.starts(with: prefix) && !$0.key.lexicographicallyPrecedes(start) }
        .sorted { $0.key.lexicographicallyPrecedes($1.key) }.prefix(limit)
      let found = try scope.scan("t", prefix: Array(prefix), from: start, limit: limit)
      #expect(found.map(\.key) == expected.map(\.key))
      #expect(found.map(\.value) == expected.map(\.value))
    }
  }

  @Test("with a record named, what was written for it and those behind it is forgotten", arguments: 0...3)
  func parts(position: Int) throws {
    var scope = TableScope(recordCount: 4)
    try scope.put([9], [9], into: "t")
    for record in 0..<4 {
      try scope.begin(at: record)
      let former = try scope.get([0], from: "t")?.first ?? 0
      try scope.put([0], [former + 1], into: "t")
      try scope.put([9], [UInt8(record)], into: "t")
      try scope.delete([UInt8(record), 1], from: "t")
    }
    let taken = scope.takeWrites(ofFirst: position)
    let writes = try #require(taken)
    #expect(writes[try Self.entry("t", [0])]?.flatMap { $0 } == (position == 0 ? nil : [UInt8(position)]))
    #expect(writes[try Self.entry("t", [9])] == .some(position == 0 ? [9] : [UInt8(position - 1)]))
    #expect(writes.count == 1 + (position == 0 ? 0 : 1 + position))
  }

  @Test("without beginning the record nobody can tell whose the writes are, unless there are none")
  func unmarked() throws {
    var scope = TableScope(recordCount: 3)
    let nothing = scope.takeWrites(ofFirst: 1)
    #expect(nothing == [:])
    try scope.begin(at: 0)
    try scope.put([1], [1], into: "t")
    let part = scope.takeWrites(ofFirst: 1)
    let all = scope.takeWrites()
    #expect(part == nil && all?.count == 1)
    #expect(throws: TableError.invalidPosition(0, count: 3)) { try scope.begin(at: 0) }
    #expect(throws: TableError.invalidPosition(3, count: 3)) { try scope.begin(at: 3) }
  }

  @Test("the bounds are kept, and a write that breaks one changes nothing")
  func bounds() throws {
    var scope = TableScope(recordCount: 1)
    #expect(throws: TableError.invalidKey(byteCount: 0)) { try scope.put([], [], into: "t") }
    #expect(throws: TableError.invalidKey(byteCount: 257)) {
      try scope.put([UInt8](repeating: 0, count: 257), [], into: "t")
    }
    #expect(throws: TableError.valueTooLarge(byteCount: 1 << 20 + 1)) {
      try scope.put([1], [UInt8](repeating: 0, count: 1 << 20 + 1), into: "t")
    }
    for name in ["", "a b", "ä", String(repeating: "x", count: 65)] {
      #expect(throws: TableError.self, "\(name)") { try scope.put([1], [], into: name) }
    }
    try scope.put([UInt8](repeating: 0, count: 256), [], into: String(repeating: "x", count: 64))
    let large = [UInt8](repeating: 1, count: 1 << 20)
    for place in 0..<3 as Range<UInt8> { try scope.put([place], large, into: "t") }
    #expect(throws: TableError.self) { try scope.put([3], large, into: "t") }
    #expect(try scope.get([3], from: "t") == nil)
    // Overwriting takes no more room than what stands there in the end.
    for _ in 0..<3 { try scope.put([2], large, into: "t") }
    let writes = scope.takeWrites()
    #expect(writes?.count == 4)
    var many = TableScope(recordCount: 1)
    for number in 0..<TableLimits.entriesOfBatch { try many.delete("\(number)".utf8, from: "t") }
    #expect(throws: TableError.self) { try many.delete("one more".utf8, from: "t") }
  }

  @Test("entries of a partition key belong to the shard that holds it")
  func foreign() throws {
    let lane = TableLane(shard: ShardNumber(1), hashKeys: HashKeyRange(first: HashKey(10), last: HashKey(20)))
    var scope = TableScope(lane: lane, recordCount: 1)
    try scope.put([1], [1], into: "t", of: .partitionKey(HashKey(20)))
    #expect(throws: TableError.foreignPartitionKey) {
      try scope.put([1], [1], into: "t", of: .partitionKey(HashKey(21)))
    }
  }

  @Test("what stands in an entry's key can be read from it")
  func parts() throws {
    let lane = TableLane(shard: ShardNumber(258), slot: 3)
    let own = TableEntryKey(bytes: try TableEntryKey.prefix("counts", .lane, in: lane) + [7, 8])
    let parts = try #require(own.parts)
    #expect(parts.table == "counts" && parts.owner == .lane(ShardNumber(258), slot: 3) && parts.key == [7, 8])
    let hash = HashKey(partitionKey: "N14228")
    let keyed = TableEntryKey(bytes: try TableEntryKey.prefix("counts", .partitionKey(hash), in: lane) + [7])
    #expect(keyed.parts?.owner == .partitionKey(hash))
    #expect(TableEntryKey(bytes: [3, 1, 2]).parts == nil)
  }
}
