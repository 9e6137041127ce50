import Foundation
import Sluice
import StreamModel
import Testing

@Suite("Trouble with the store", .timeLimit(.minutes(10)))
struct StoreTroubleTests {
  @Test("a full map refuses puts and goes on delivering; a larger map takes them again")
  func mapFull() async throws {
    try await Workplace.with(Setup { $0.mapSize = "4MiB" }) { place in
      let worker = try await place.start()
      let (refusal, taken) = try await place.fill()
      #expect(refusal.code == 75)
      #expect(refusal.errors.contains("the store has reached its map size"))
      #expect(taken > 2)
      let metrics = try await worker.get("/metrics").text
      #expect(metrics.contains("sluice_store_refusals_total{reason=\"mapFull\"} 1\n"))
      #expect(metrics.contains("sluice_store_limit_bytes \(4 << 20)\n"))
      try await place.isDrained()
      #expect(place.delivered.count == taken)
      #expect(await worker.drain() == 0)
      try place.configure(Setup { $0.mapSize = "64MiB" })
      _ = try await place.start()
      try await place.put("more")
      try await place.isDrained()
      #expect(place.delivered.last?.text == "more")
    }
  }

  @Test("deleting a stream makes room in a full map")
  func roomByDeletion() async throws {
    try await Workplace.with(Setup { $0.mapSize = "4MiB" }) { place in
      _ = try await place.start()
      _ = try await place.ask([StreamReport].self, "streams", "create", "ballast")
      try place.write(String(repeating: "x", count: 500_000) + "\n", to: "ballast")
      #expect(try await place.sluice("put", "ballast", "ballast", "--partition-key", "k").code == 0)
      #expect(try await place.fill().refusal.code == 75)
      #expect(try await place.sluice("streams", "delete", "ballast", "--yes").code == 0)
      _ = try await eventually("there is room") {
        let ended = try await place.sluice("put", "numbers", "large", "--partition-key", "k")
        return ended.code == 0 ? true : nil
      }
      try await place.isDrained()
    }
  }

  @Test("a data directory that cannot be made is an error that names it")
  func unusable() async throws {
    try await Workplace.with { place in
      for path in ["sluice.yaml/data", "/proc/sluice"] {
        let ended = try await place.sluice("run", "--listen", "127.0.0.1:0", "--data", path)
        #expect(ended.code == 1)
        #expect(ended.errors.contains("the folder \(path) cannot be used"))
      }
    }
  }

  @Test(
    "a data directory that may not be written is an error that names it",
    .enabled(if: getuid() != 0, "root may write everywhere"))
  func unwritable() async throws {
    try await Workplace.with { place in
      try FileManager.default.createDirectory(at: place.data, withIntermediateDirectories: true)
      try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: place.data.path)
      let ended = try await place.sluice("run", "--listen", "127.0.0.1:0")
      #expect(ended.code == 1)
      #expect(ended.errors.contains("the folder \(place.data.path) cannot be used"))
    }
  }

  @Test("a worker makes a data directory that is missing; those who look do not")
  func missing() async throws {
    try await Workplace.with { place in
      for command in ["status", "streams", "failures", "audit"] {
        let ended = try await place.sluice(command)
        #expect(ended.code == 65)
        #expect(ended.errors.contains("there is no store at \(place.data.path)"))
      }
      #expect(!FileManager.default.fileExists(atPath: place.data.path))
      _ = try await place.start()
      #expect(try await place.sluice("status").code == 0)
    }
  }

  @Test("a second worker is refused and told who has the store")
  func secondWorker() async throws {
    try await Workplace.with { place in
      let worker = try await place.start()
      let second = try await place.sluice("run", "--config", "sluice.yaml", "--listen", "127.0.0.1:0")
      #expect(second.code == 69)
      #expect(second.errors.contains("process \(worker.processID), listening at \(worker.address)"))
      #expect(try await worker.get("/health").status == 200)
    }
  }

  @Test("a damaged block stops its shard and names itself; the other shard goes on to its end")
  func corrupted() async throws {
    try await Workplace.with(Setup { $0.shards = 2 }) { place in
      #expect(try await place.sluice("streams", "create", "numbers", "--shards", "2").code == 0)
      let damaged = try #require(try await place.put("needle in a haystack").shards.first)
      try place.write((0..<16).map { "{\"id\":\"key \($0)\"}\n" }.joined(), to: "keyed")
      let put = try await place.ask(PutReport.self, "put", "numbers", "keyed", "--key-field", "id")
      let others = put.shards.filter { $0.shard != damaged.shard }.reduce(0) { $0 + $1.records }
      try place.damage("needle in a haystack")
      let worker = try await place.start()
      let lane = try await place.lane(is: .stopped)
      #expect(lane.shard == damaged.shard)
      #expect(lane.summary.contains("The block that begins at record 0 is damaged"))
      #expect(try await place.sluice("explain", "numbers-note").output.contains("is damaged"))
      _ = try await eventually("the other shard is drained") {
        try await place.lanes().contains { $0.shard != damaged.shard && $0.backlogRecords == 0 } ? true : nil
      }
      #expect(place.delivered.count == others)
      #expect(others > 0)
      #expect(await worker.drain() == 0)
      let checked = try await place.sluice("check-store", place.data.path)
      #expect(checked.code == 1)
      let problems = checked.output.split(separator: "\n").dropLast()
      #expect(problems.count == 1)
      #expect(problems.first?.contains("numbers") == true && problems.first?.contains(damaged.shard) == true)
      #expect(problems.first?.contains("block at record 0: its checksum does not match") == true)
      #expect(checked.output.hasSuffix("1 problem\n"))
    }
  }

  @Test("a skip goes on behind a damaged block, says before what that costs, and is on record")
  func skipDamage() async throws {
    try await Workplace.with { place in
      #expect(try await place.sluice("streams", "create", "numbers").code == 0)
      for text in ["needle in a haystack", "behind"] { try await place.put(text) }
      try place.damage("needle in a haystack")
      let worker = try await place.start()
      let damage = try #require(try await place.lane(is: .stopped).damage)
      #expect(try await place.sluice("explain", "numbers-note").output.contains("$ sluice skip numbers-note --shard 0"))
      let preview = try await place.ask(ActionReport.self, "skip", "numbers-note", "--shard", "0")
      #expect(!preview.isApplied && preview.records == 1)
      #expect(preview.effects.first?.contains(damage.firstSequenceNumber) == true)
      #expect(try await place.ask([AuditReport].self, "audit").isEmpty)
      #expect(try await place.lanes().map(\.state) == [.stopped])
      #expect(try await place.sluice("skip", "numbers-note", "--shard", "0", "--yes").code == 0)
      try await place.isDrained()
      #expect(place.delivered.map(\.text) == ["behind"])
      let audit = try #require(try await place.ask([AuditReport].self, "audit").first)
      #expect(audit.action == "skip" && audit.detail == preview.effects.first)
      #expect(try await worker.get("/metrics").text.contains("LostEventCount{mapping=\"numbers-note\"} 1"))
      #expect(await worker.drain() == 0)
      _ = try await place.start()
      #expect(try await place.lanes().map(\.lostToDamage) == [1])
      let explained = try await place.sluice("explain", "numbers-note").output
      #expect(explained.contains("1 record in damaged blocks that were skipped"))
    }
  }

  @Test(
    "with several lanes a damaged block stops all lanes of its shard, the other shard goes on, and a skip passes it")
  func corruptedForLanes() async throws {
    let setup = Setup {
      $0.shards = 2
      $0.rules = ["ParallelizationFactor: 4"]
    }
    try await Workplace.with(setup) { place in
      #expect(try await place.sluice("streams", "create", "numbers", "--shards", "2").code == 0)
      let needles = (1...4).map { "needle \($0) in a haystack" }
      try place.write(needles.map { $0 + "\n" }.joined(), to: "needles")
      let needlesPut = try await place.ask(PutReport.self, "put", "numbers", "needles", "--partition-key", "needle")
      let damaged = try #require(needlesPut.shards.first)
      try place.write((0..<64).map { "{\"id\":\"key \($0)\"}\n" }.joined(), to: "keyed")
      let put = try await place.ask(PutReport.self, "put", "numbers", "keyed", "--key-field", "id")
      let behind = put.shards.first { $0.shard == damaged.shard }?.records ?? 0
      try #require(behind > 0 && behind < 64)
      try place.damage(needles[2])
      let worker = try await place.start()
      let stopped = try await eventually("all lanes of the shard have stopped") {
        let lanes = try await place.lanes().filter { $0.shard == damaged.shard && $0.state == .stopped }
        return lanes.count == 4 ? lanes : nil
      }
      #expect(stopped.allSatisfy { $0.summary.contains("The block that begins at record 0 is damaged") })
      #expect(Set(stopped.compactMap { $0.damage?.records }) == [4])
      _ = try await eventually("the other shard is drained") {
        let others = try await place.lanes().filter { $0.shard != damaged.shard }
        return others.count == 4 && others.allSatisfy { $0.backlogRecords == 0 } ? true : nil
      }
      #expect(place.delivered.count == 64 - behind)

      let explained = try await place.sluice("explain", "numbers-note").output
      #expect(explained.contains("is damaged") && explained.contains("sluice skip numbers-note"), "\(explained)")
      let shard = damaged.shard
      let preview = try await place.ask(ActionReport.self, "skip", "numbers-note", "--shard", shard)
      #expect(!preview.isApplied && preview.effects.count == 4 && preview.records == 4)
      #expect(preview.effects.allSatisfy { $0.contains("damaged block at record 0") })
      // One lane may go on by itself; the others stay where they are.
      #expect(try await place.sluice("skip", "numbers-note", "--shard", shard, "--lane", "2", "--yes").code == 0)
      _ = try await eventually("lane 2 is past the block") {
        let lanes = try await place.lanes().filter { $0.shard == shard }
        return lanes.count { $0.state == .stopped } == 3 && lanes.contains { $0.lane == 2 && $0.state == .idle }
          ? true : nil
      }
      #expect(try await place.sluice("skip", "numbers-note", "--shard", shard, "--yes").code == 0)
      try await place.isDrained()
      #expect(place.delivered.count == 64 && Set(place.delivered.map(\.text)).count == 64)
      // Which lane had which of them nobody can tell: to the metric each lane lost its share.
      #expect(try await worker.get("/metrics").text.contains("LostEventCount{mapping=\"numbers-note\"} 4"))
      #expect(await worker.drain() == 0)
      _ = try await place.start()
      #expect(try await place.lanes().map(\.lostToDamage).sorted() == [0, 0, 0, 0, 4, 4, 4, 4])
    }
  }
}

extension StoreTroubleTests {
  @Test(
    "a last block whose head is damaged keeps no worker from starting; it is skipped, and later records come behind it")
  func lastHead() async throws {
    try await Workplace.with(Setup { $0.shards = 2 }) { place in
      #expect(try await place.sluice("streams", "create", "numbers", "--shards", "2").code == 0)
      let damaged = try #require(try await place.put("needle in a haystack").shards.first)
      // The second byte of the count, in the head before the record's own.
      try place.damage("needle in a haystack", before: 1 + RecordLayout.headerByteCount + 56 - 13)
      let worker = try await place.start()
      #expect(try await place.lane(is: .stopped).shard == damaged.shard)
      let explained = try await place.sluice("explain", "numbers-note").output
      #expect(explained.contains("at most 2 records of it not settled"))
      try place.write((0..<16).map { "{\"id\":\"key \($0)\"}\n" }.joined(), to: "keyed")
      #expect(try await place.ask(PutReport.self, "put", "numbers", "keyed", "--key-field", "id").records == 16)
      let number = try #require(damaged.shard.last)
      #expect(try await place.sluice("skip", "numbers-note", "--shard", "\(number)", "--yes").code == 0)
      try await place.isDrained()
      #expect(place.delivered.count == 16)
      #expect(await worker.drain() == 0)
    }
  }
}

extension Workplace {
  /// Flips a bit so many bytes before each place in the data file where this text stands.
  fileprivate func damage(_ text: String, before distance: Int = 0) throws {
    let file = data.appending(path: "data.mdb")
    var bytes = try Data(contentsOf: file)
    var start = bytes.startIndex
    while let found = bytes.range(of: Data(text.utf8), in: start..<bytes.endIndex) {
      bytes[found.lowerBound - distance] ^= 1
      start = found.upperBound
    }
    try #require(start != bytes.startIndex)
    try bytes.write(to: file)
  }
}
