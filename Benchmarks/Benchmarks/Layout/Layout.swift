import Benchmark
import Foundation
import LMDB

// One LMDB key for each record, or packed blocks: the same records, in the same run. 256 B of data, 8 shards.

private let shardCount: UInt32 = 8
private let recordCount = 200_000
private let recordByteCount = 256
private let recordsPerTransaction = 10_000
/// As many records as the store's block of 256 KiB holds.
private let recordsPerBlock = 900

nonisolated(unsafe) private let record = [UInt8](repeating: 0x5a, count: recordByteCount)
private let block = [UInt8](repeating: 0x5a, count: recordByteCount * recordsPerBlock)

private func withEnvironment(_ body: (Environment, Database) throws -> Void) throws {
  let folder = FileManager.default.temporaryDirectory.appending(path: "sluice-layout-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  let environment = try Environment(
    path: folder.path, options: EnvironmentOptions(mapBytes: 1 << 34, tableLimit: 2))
  guard let table = try environment.openTables(["records"])[0] else { return }
  try body(environment, table)
}

private func appendRecords(_ environment: Environment, _ table: Database) throws {
  var index: UInt64 = 0
  while index < recordCount {
    try environment.write { (transaction: inout WriteTransaction) throws(LMDBError) in
      for _ in 0..<recordsPerTransaction {
        let key = Key(UInt32(1), UInt32(index % UInt64(shardCount)), index)
        try transaction.put(key, record.span.bytes, in: table, mode: .replace)
        index += 1
      }
    }
  }
}

private func appendBlocks(_ environment: Environment, _ table: Database) throws {
  var index: UInt64 = 0
  while index < recordCount {
    try environment.write { (transaction: inout WriteTransaction) throws(LMDBError) in
      var written = 0
      while written < recordsPerTransaction {
        let key = Key(UInt32(1), UInt32(index / UInt64(recordsPerBlock) % UInt64(shardCount)), index)
        try transaction.put(key, block.span.bytes, in: table, mode: .replace)
        index += UInt64(recordsPerBlock)
        written += recordsPerBlock
      }
    }
  }
}

private func total(of value: borrowing RawSpan) -> UInt64 {
  var sum: UInt64 = 0
  for offset in stride(from: 0, through: value.byteCount - 8, by: 8) {
    sum &+= value.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self)
  }
  return sum
}

/// Reads every byte of every value, as a drain that verifies and copies must.
private func readAll(_ environment: Environment, _ table: Database) throws -> UInt64 {
  try environment.read { (transaction: borrowing ReadTransaction) throws(LMDBError) in
    var sum: UInt64 = 0
    var cursor = try transaction.cursor(in: table)
    var isThere = try cursor.first()
    while isThere {
      sum &+= total(of: cursor.value)
      isThere = try cursor.next()
    }
    return sum
  }
}

let benchmarks: @Sendable () -> Void = {
  Benchmark.defaultConfiguration = .init(
    metrics: [.wallClock, .cpuTotal], scalingFactor: .one, maxDuration: .seconds(5), maxIterations: 5)

  Benchmark("append 200,000 × 256 B, one key per record") { _ in
    try withEnvironment { try appendRecords($0, $1) }
  }
  Benchmark("append 200,000 × 256 B, packed blocks") { _ in
    try withEnvironment { try appendBlocks($0, $1) }
  }
  Benchmark("read 200,000 × 256 B, one key per record") { benchmark in
    try withEnvironment { environment, table in
      try appendRecords(environment, table)
      benchmark.startMeasurement()
      blackHole(try readAll(environment, table))
      benchmark.stopMeasurement()
    }
  }
  Benchmark("read 200,000 × 256 B, packed blocks") { benchmark in
    try withEnvironment { environment, table in
      try appendBlocks(environment, table)
      benchmark.startMeasurement()
      blackHole(try readAll(environment, table))
      benchmark.stopMeasurement()
    }
  }
}
