import ArgumentParser
import Foundation
import StreamModel
import StreamRuntime
import StreamStore

#if canImport(Glibc)
  import Glibc
#endif

struct BenchStart: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "start", abstract: "A fresh process on a big store: from its start to its first delivery.",
    discussion: """
      Each run is a process of its own that opens the store, opens the lanes of a mapping with a native handler, and ends \
      after its first delivery. Once with the file in the page cache, once after it was dropped from there.

      Examples:
        sluice bench start --gigabytes 4 --runs 11
        sluice bench start --store /var/tmp/big --runs 11      keeps the store, and uses it again the next time
      """)

  @Option(help: "GiB of records to put into a store that is not there yet.") var gigabytes = 4.0
  @Option(help: "Shards of a store that is not there yet.") var shards = 8
  @Option(help: "A store to keep: made if it is not there, used again if it is.") var store: String?
  @OptionGroup var bench: BenchOptions

  func validate() throws {
    if !(0.001...1_000).contains(gigabytes) {
      throw ValidationError("--gigabytes is \(gigabytes): allowed are 0.001 to 1000.")
    }
    if bench.runs < 1 { throw ValidationError("--runs is \(bench.runs): allowed is 1 or more.") }
    if store != nil, bench.directory != nil { throw ValidationError("Give either --store or --directory.") }
  }

  func run() async throws {
    let folder = store.map { URL(filePath: $0) } ?? BenchStore.folder(bench)
    // Nothing can be done about files that stay: they are temporary.
    defer { if store == nil { try? FileManager.default.removeItem(at: folder) } }
    let file = DataFile(path: folder.appending(path: "data.mdb").path)
    if !file.exists { try await fill(folder) }
    for isCold in [false, true] {
      var report = StartReport(
        name: isCold ? "start, cold file" : "start", storeBytes: try file.bytes, durability: bench.durability)
      for run in 0...bench.runs {
        if isCold { try file.dropFromPageCache() }
        let moments = try start(on: folder)
        if run > 0 { report.add(moments) }
      }
      try report.print(isJSON: bench.output.isJSON)
    }
  }

  /// Closes the store again: the processes that are measured have it to themselves.
  private func fill(_ folder: URL) async throws {
    let place = try await BenchStore.make(bench, shards: shards, at: folder)
    var progress = ProgressLine(isQuiet: bench.output.isJSON)
    try await place.fill(
      records: Int(gigabytes * Double(1 << 30)) / bench.recordBytes, recordBytes: bench.recordBytes,
      progress: &progress)
    place.store.close()
  }

  /// One process from its start to its end. Blocks the thread: nothing else goes on meanwhile.
  private func start(on folder: URL) throws -> StartMoments {
    let process = Process()
    process.executableURL = URL(filePath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
    process.arguments = [
      "bench", BenchFirstDelivery.name, folder.path, "--durability", bench.durability.rawValue,
    ]
    let output = Pipe()
    process.standardOutput = output
    let begun = SystemClock.monotonic()
    try process.run()
    let answer = try output.fileHandleForReading.readToEnd()
    process.waitUntilExit()
    guard process.terminationStatus == 0, let answer else {
      throw Problem(Exit.failed, "A started process ended with \(process.terminationStatus) before its first delivery.")
    }
    var moments = try JSONDecoder().decode(StartMoments.self, from: answer)
    moments.started = begun.nanoseconds
    return moments
  }
}

/// The file of a store.
private struct DataFile {
  let path: String

  var exists: Bool { FileManager.default.fileExists(atPath: path) }

  var bytes: Int {
    get throws { try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0 }
  }

  /// Writes back what is not on the disk yet, and lets the kernel forget the rest. No process may have the file mapped.
  func dropFromPageCache() throws {
    let file = try FileHandle(forUpdating: URL(filePath: path))
    try file.synchronize()
    let code = posix_fadvise(file.fileDescriptor, 0, 0, POSIX_FADV_DONTNEED)
    try file.close()
    guard code == 0 else { throw Problem(Exit.failed, "The page cache keeps \(path): error \(code)") }
  }
}
