import Foundation
import Sluice
import Testing

/// What a power cut would spare. The cut itself is not tried: that takes a disk that forgets.
@Suite("What is synced", .timeLimit(.minutes(10)))
struct SyncTests {
  @Test("a put is acknowledged when it is synced to the disk")
  func commit() async throws {
    try await Workplace.with { place in
      let syncs = try await SyncCount(in: place)
      _ = try await place.start(more: syncs.environment)
      for number in 0..<5 {
        let former = try syncs.count
        try await place.put("record \(number)")
        #expect(try syncs.count > former)
      }
    }
  }

  @Test("with durability system nothing waits for the disk, and the end of the worker syncs what there is")
  func system() async throws {
    try await Workplace.with(Setup { $0.durability = "system" }) { place in
      let syncs = try await SyncCount(in: place)
      let worker = try await place.start(more: syncs.environment)
      let former = try syncs.count
      for number in 0..<5 { try await place.put("record \(number)") }
      try await place.isDrained()
      #expect(try syncs.count == former)
      #expect(await worker.drain() == 0)
      #expect(try syncs.count > former)
    }
  }
}

/// How often programs have synced a file, see `Tests/Shims`.
private struct SyncCount {
  private let file: URL
  let environment: [String: String]

  init(in place: Workplace) async throws {
    file = place.folder.appending(path: "syncs")
    environment = ["LD_PRELOAD": try await place.shim("syncs"), "SYNC_COUNT_FILE": file.path]
    try Data(repeating: 0, count: 8).write(to: file)
  }

  var count: Int64 {
    get throws { try Data(contentsOf: file).withUnsafeBytes { $0.loadUnaligned(as: Int64.self) } }
  }
}
