import Foundation
import StreamModel
import StreamStore
import Testing

/// `SLUICE_EFFECT_KILLS` kills (60 by default) with the seed `SLUICE_KILL_SEED`.
@Suite("Exactly once under kill -9", .timeLimit(.minutes(30)))
struct ExactlyOnceTests {
  private static let kills = number("SLUICE_EFFECT_KILLS") ?? 60
  private static let seed = UInt64(number("SLUICE_KILL_SEED") ?? 1)

  private static func number(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }

  @Test("each record has its effect once, however often the process is killed and its handler fails")
  func killed() async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "sluice-once-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    var ledger = Ledger(path: folder.path)
    var dice = SplitMix64(seed: Self.seed)
    try ledger.create()
    var (withoutDelivery, deliveries) = (0, 0)
    for life in 0..<Self.kills {
      try ledger.put(Int.random(in: 100...600, using: &dice), &dice)
      if life == Self.kills / 3 { try ledger.split() }
      let worker = try Counter(store: folder, seed: dice.next())
      // Some are killed while they start.
      let goal = Int.random(in: 0...25, using: &dice)
      deliveries += await worker.kill(afterLines: goal)
      if goal == 0 { withoutDelivery += 1 }
      try ledger.check(isComplete: false)
    }
    let last = try Counter(store: folder, seed: dice.next())
    _ = try await eventually("every record is processed") { try ledger.isDrained() ? true : nil }
    _ = await last.kill(afterLines: 0)
    try ledger.check(isComplete: true)
    #expect(try await shown(["list", "count"], folder) == ["keys", "seen"])
    // One more line for the heads of the columns.
    #expect(try await shown(["get", "count", "keys"], folder).count == ledger.keyCount + 1)
    let one = try await shown(["get", "count", "keys", "--partition-key", "key 7", "--format", "json"], folder)
    #expect(one.count == 1 && one[0].contains(#""value":{"text":"\#(ledger.count(of: "key 7"))"}"#), "\(one)")
    let first = try await shown(["get", "count", "keys", "--limit", "1", "--format", "json"], folder)
    let warning = try String(contentsOf: folder.appending(path: "warned"), encoding: .utf8)
    #expect(first.count == 1 && warning == "sluice: these are the first 1 entries; there may be more: --limit\n")
    #expect(deliveries > Self.kills && withoutDelivery < Self.kills)
    print(
      "exactly once, seed \(Self.seed): \(Self.kills) kills, \(ledger.records) records, at least \(deliveries) deliveries"
    )
  }
}

/// What `sluice tables` prints, by line; what it warns about is in the file `warned`.
private func shown(_ arguments: [String], _ folder: URL) async throws -> [String] {
  let (file, warned) = (folder.appending(path: "printed"), folder.appending(path: "warned"))
  for file in [file, warned] { _ = FileManager.default.createFile(atPath: file.path, contents: nil) }
  let child = try Child(
    [Program.path, "tables"] + arguments + ["--data", folder.path], in: folder, environment: [:],
    output: try FileHandle(forWritingTo: file), errors: try FileHandle(forWritingTo: warned))
  #expect(await child.ended() == 0)
  return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map(String.init)
}

/// A running `CountingWorker`.
private final class Counter: Sendable {
  private let child: Child
  private let output: OutputLines

  init(store: URL, seed: UInt64) throws {
    let pipe = Pipe()
    output = OutputLines(reading: pipe)
    let path = URL(filePath: Program.path).deletingLastPathComponent().appending(path: "CountingWorker").path
    child = try Child(
      [path, store.path, "\(seed)"], in: store, environment: [:], output: pipe, errors: FileHandle.standardError)
    try pipe.fileHandleForWriting.close()
    let (output, child) = (output, child)
    Task { output.end(await child.ended()) }
  }

  /// SIGKILL as soon as there were so many deliveries, or at once; how many there were.
  func kill(afterLines count: Int) async -> Int {
    // Ends early when there is nothing left to deliver.
    if count > 0 {
      _ = try? await eventually("deliveries", within: .seconds(5)) { self.output.all.count >= count ? true : nil }
    }
    child.send(SIGKILL)
    _ = await child.ended()
    return output.all.count
  }
}

/// What the store says, held against what was put.
private struct Ledger {
  let path: String
  private(set) var records = 0
  private var recordsOfKey: [String: Int] = [:]

  init(path: String) { self.path = path }

  var keyCount: Int { recordsOfKey.count }

  func count(of key: String) -> Int { recordsOfKey[key] ?? 0 }

  private func open(_ role: StreamStore.Role) throws -> StreamStore {
    var options = StoreOptions()
    options.mapBytes = 1 << 30
    return try StreamStore.open(at: path, options: options, role: role)
  }

  func create() throws {
    let store = try open(.writer)
    defer { store.close() }
    try store.performBlocking(.createStream(NewStream(name: "numbers", shardCount: 2)))
  }

  mutating func put(_ count: Int, _ dice: inout SplitMix64) throws {
    let store = try open(.writer)
    defer { store.close() }
    var request = AppendRequest(to: try store.routing(of: "numbers"))
    for _ in 0..<count {
      let key = "key \(Int.random(in: 0..<40, using: &dice))"
      try request.add(partitionKey: key, data: Array("\(records)".utf8))
      recordsOfKey[key, default: 0] += 1
      records += 1
    }
    _ = try store.appendBlocking(request)
  }

  /// From here on the first half of the keys goes through two shards that did not exist before.
  func split() throws {
    let store = try open(.writer)
    defer { store.close() }
    let stream = try #require(try store.catalog().stream(named: "numbers"))
    let range = HashKeyRange.evenly(4)[1]
    try store.performBlocking(.split(ShardAddress(stream: stream.number, shard: ShardNumber(0)), at: range.first))
  }

  func isDrained() throws -> Bool {
    let store = try open(.looker)
    let catalog = try store.catalog()
    guard let mapping = catalog.mapping(named: "count") else { return false }
    return try store.lanes(of: mapping.number).values.reduce(0) { $0 + Int($1.next.rawValue) } == records
  }

  /// The effects are those of the records before the checkpoints, each one once.
  func check(isComplete: Bool) throws {
    let store = try open(.looker)
    let catalog = try store.catalog()
    guard let stream = catalog.stream(named: "numbers"), let mapping = catalog.mapping(named: "count") else {
      #expect(!isComplete)
      return
    }
    let lanes = try store.lanes(of: mapping.number)
    var expected: Set<String> = []
    for shard in catalog.shards(of: stream.number) {
      for index in 0..<(lanes[LaneKey(mapping: mapping.number, address: shard.address)]?.next.rawValue ?? 0) {
        expected.insert("\(shard.sequenceNumber(of: RecordIndex(index)))")
      }
    }
    var seen: [String: String] = [:]
    var counts: [HashKey: Int] = [:]
    try store.forEachTableEntry(of: mapping.number) { key, value in
      guard let parts = key.parts else { return false }
      let text = String(decoding: value, as: UTF8.self)
      switch parts.owner {
      case .lane: seen[String(decoding: parts.key, as: UTF8.self)] = text
      case .partitionKey(let hash): counts[hash] = Int(text)
      }
      return true
    }
    #expect(Set(seen.keys) == expected)
    #expect(seen.values.allSatisfy { $0 == "1" }, "a record had its effect more than once")
    #expect(counts.values.reduce(0, +) == expected.count)
    guard isComplete else { return }
    #expect(expected.count == records)
    #expect(counts == Dictionary(uniqueKeysWithValues: recordsOfKey.map { (HashKey(partitionKey: $0.key), $0.value) }))
  }
}
