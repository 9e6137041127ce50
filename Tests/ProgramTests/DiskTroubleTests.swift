import Foundation
import LMDB
import Sluice
import Testing

@Suite("Trouble with the disk", .timeLimit(.minutes(10)))
struct DiskTroubleTests {
  @Test(
    "a full disk refuses puts and goes on delivering; with room again the same worker takes them",
    .enabled(if: Mount.isPermitted, "mounting a small disk is not permitted here"))
  func diskFull() async throws {
    try await Workplace.with { place in
      let disk = try Mount.memory(at: place.data, bytes: 24 << 20)
      defer { disk.end() }
      let ballast = place.data.appending(path: "ballast")
      try Data(repeating: 1, count: 8 << 20).write(to: ballast)
      let worker = try await place.start()
      let (refusal, taken) = try await place.fill(with: 400_000)
      #expect(refusal.code == 75)
      #expect(refusal.errors.contains("no space left for the store"))
      #expect(taken > 10)
      try await place.isDrained()
      #expect(place.delivered.count == taken)
      #expect(try await worker.get("/health").status == 200)
      let metrics = try await worker.get("/metrics").text
      #expect(metrics.contains("sluice_store_refusals_total{reason=\"diskFull\"} 1\n"))
      #expect(metrics.contains("sluice_store_refusals_total{reason=\"mapFull\"} 0\n"))
      // Nothing that was delivered may wait for room: it would be delivered again.
      #expect(try await place.lanes().map(\.backlogRecords) == [0])
      try FileManager.default.removeItem(at: ballast)
      _ = try await eventually("puts are taken again") {
        try await place.sluice("put", "numbers", "large", "--partition-key", "k").code == 0 ? true : nil
      }
      try await place.put("more")
      try await place.isDrained()
      #expect(place.delivered.count == taken + 2)
      #expect(place.delivered.last?.text == "more")
      #expect(await worker.drain() == 0)
      #expect(try await place.sluice("check-store", place.data.path).code == 0)
    }
  }

  /// Limits the size of files to 12 MiB, and then becomes the program. The store grows its file in steps, first to 8 MiB:
  /// with less room than that it would take nothing. The signal that comes at the limit is deadly unless the program
  /// sees to it.
  private static let smallFiles = [
    "/usr/bin/env", "python3", "-c",
    """
    import os, resource, signal, sys
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12 << 20, resource.RLIM_INFINITY))
    os.execv(sys.argv[1], sys.argv[1:])
    """,
  ]

  @Test("a limit on file size refuses puts and goes on delivering; the same worker takes them when the limit is lifted")
  func fileSizeLimit() async throws {
    try await Workplace.with { place in
      let worker = try await place.start(launcher: Self.smallFiles)
      let (refusal, taken) = try await place.fill(with: 400_000)
      #expect(refusal.code == 75)
      #expect(refusal.errors.contains("no space left for the store"))
      #expect(taken > 10)
      try await place.isDrained()
      #expect(place.delivered.count == taken)
      #expect(try await worker.get("/health").status == 200)
      try await place.liftFileSizeLimit(of: worker)
      _ = try await eventually("puts are taken again") {
        try await place.sluice("put", "numbers", "large", "--partition-key", "k").code == 0 ? true : nil
      }
      try await place.isDrained()
      #expect(place.delivered.count == taken + 1)
      #expect(await worker.drain() == 0)
    }
  }

  @Test("a shell's limit on file size that leaves no room for a store is an error, not the end by a signal")
  func noRoomAtAll() async throws {
    try await Workplace.with { place in
      let ended = try await place.run([
        "/bin/sh", "-c", "ulimit -f 16; exec \"$@\"", "sh", Program.path, "run", "--config", "sluice.yaml",
        "--listen", "127.0.0.1:0",
      ])
      #expect(ended.code == 1 || ended.code == 75, "\(ended)")
      #expect(ended.errors.contains("no space left for the store"), "\(ended)")
    }
  }

  @Test(
    "on a read-only disk those who look see everything, and those who write are refused by name",
    .enabled(if: Mount.isPermitted, "mounting a read-only disk is not permitted here"))
  func readOnlyDisk() async throws {
    try await Workplace.with { place in
      let worker = try await place.start()
      try await place.put("one", "two")
      try await place.isDrained()
      #expect(await worker.drain() == 0)
      let disk = try Mount.readOnly(place.data)
      defer { disk.end() }
      let lanes = try await place.lanes()
      #expect(lanes.map(\.backlogRecords) == [0])
      #expect(try await place.sluice("tail", "numbers", "--from", "trim-horizon", "--no-follow").output.contains("two"))
      for arguments in [
        ["run", "--config", "sluice.yaml", "--listen", "127.0.0.1:0"],
        ["put", "numbers", "large", "--partition-key", "k"],
        ["streams", "create", "another"],
      ] {
        try place.write("x\n", to: "large")
        let ended = try await place.sluice(arguments, environment: [:])
        #expect(ended.code == 1, "\(arguments): \(ended)")
        #expect(
          ended.errors.contains("the folder \(place.data.path) cannot be used: Read-only file system"), "\(ended)")
      }
    }
  }

  @Test("a store of a newer format is left alone by every command, with both formats named")
  func newerFormat() async throws {
    try await Workplace.with { place in
      let worker = try await place.start()
      try await place.put("one")
      try await place.isDrained()
      #expect(await worker.drain() == 0)
      let former = try place.setFormat([200, 0, 0, 0, 0, 0, 0, 0])
      let ours = try #require(former.first)
      let before = try Data(contentsOf: place.data.appending(path: "data.mdb"))
      try place.write("x\n", to: "line")
      for arguments in [
        ["run", "--config", "sluice.yaml", "--listen", "127.0.0.1:0"], ["status"], ["streams"], ["failures", "list"],
        ["put", "numbers", "line", "--partition-key", "k"], ["check-store", place.data.path],
      ] {
        let ended = try await place.sluice(arguments, environment: [:])
        #expect(ended.code != 0, "\(arguments): \(ended)")
        #expect(
          ended.errors.contains("the store has format 200 and this version reads up to \(ours):"),
          "\(arguments): \(ended)")
      }
      #expect(try Data(contentsOf: place.data.appending(path: "data.mdb")) == before)
      try place.setFormat(former)
      _ = try await place.start()
      try await place.put("two")
      try await place.isDrained()
      #expect(place.delivered.map(\.text) == ["one", "two"])
    }
  }
}

extension Workplace {
  /// Raises the soft limit to the hard one, from outside: Glibc's `prlimit` is not visible to Swift.
  fileprivate func liftFileSizeLimit(of worker: Worker) async throws {
    let program = """
      import resource, sys
      process, which = int(sys.argv[1]), resource.RLIMIT_FSIZE
      hard = resource.prlimit(process, which)[1]
      resource.prlimit(process, which, (hard, hard))
      """
    let ended = try await run(["/usr/bin/env", "python3", "-c", program, "\(worker.processID)"])
    #expect(ended.code == 0, "\(ended)")
  }

  /// Writes another format into the store, which nobody may have open; the one that was there. Its first byte is the
  /// number.
  @discardableResult
  fileprivate func setFormat(_ format: [UInt8]) throws -> [UInt8] {
    let environment = try Environment(path: data.path, options: EnvironmentOptions(mapBytes: 1 << 30))
    let meta = try #require(try environment.openTables(["meta"])[0])
    let former = try environment.read { transaction throws(LMDBError) in
      try transaction.value(Key("format"), in: meta)?.withUnsafeBytes { Array($0) } ?? []
    }
    try environment.write { transaction throws(LMDBError) in
      try transaction.put(Key("format"), format, in: meta)
    }
    return former
  }
}
