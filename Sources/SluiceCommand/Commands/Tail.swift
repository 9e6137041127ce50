import ArgumentParser
import Foundation
import Sluice
import StreamModel
import StreamStore

struct Tail: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print records as they come.",
    discussion: """
      Examples:
        sluice tail flights --from trim-horizon --limit 10
        sluice tail flights --shard 3 --format json
        sluice tail flights --from 2026-11-21T08:00:00Z
      """)

  @Argument(help: "The stream.") var stream: String
  @Option(help: "One shard; without it, all of them.") var shard: String?
  @Option(help: "trim-horizon, latest, or a time such as 2026-11-21T08:00:00Z.") var from = "latest"
  @Option(help: "End after so many records. Default: go on until interrupted.") var limit: Int?
  @Flag(help: "End at the last record instead of waiting for more.") var noFollow = false
  @OptionGroup var store: DataOptions

  /// How long to wait before looking again when nothing is new. A looker has no other way to learn of a commit.
  private static let interval = Duration.milliseconds(200)

  func run() async throws {
    let store = try Connection.open(self.store.dataDirectory, role: .looker)
    guard let info = try store.catalog().stream(named: stream) else {
      throw Problem(Exit.badInput, "There is no stream \(stream).")
    }
    let position = try startingPosition()
    let wanted = try shard.map { text in
      guard let number = ShardNumber(text) else {
        throw Problem(Exit.badInput, "\(text) is not a shard: write 3 or shardId-000000000003.")
      }
      return number
    }
    var next: [ShardNumber: RecordIndex] = [:]
    var left = limit ?? .max
    while left > 0 {
      var isQuiet = true
      for shard in try store.catalog().shards(of: info.number) where wanted == nil || shard.address.shard == wanted {
        // Shards that appear while we look are read from their first record.
        let isNew = !next.isEmpty && next[shard.address.shard] == nil
        let start =
          try next[shard.address.shard] ?? store.index(for: isNew ? .trimHorizon : position, in: shard.address)
        let end = try show(shard, from: start, in: store, left: &left)
        next[shard.address.shard] = end
        if end > start { isQuiet = false }
        if left == 0 { return }
      }
      if isQuiet {
        if noFollow { return }
        // Into a pipe, lines would wait until there are many.
        fflush(nil)
        try await Task.sleep(for: Self.interval)
      }
    }
  }

  private func startingPosition() throws -> StartingPosition {
    switch from.lowercased() {
    case "trim-horizon", "trim_horizon": return .trimHorizon
    case "latest": return .latest
    default:
      guard let date = try? Date(from, strategy: .iso8601) else {
        throw Problem(
          Exit.wrongUsage, "--from is \(from): write trim-horizon, latest, or a time such as 2026-11-21T08:00:00Z.")
      }
      return .atTimestamp(WallTime(milliseconds: Int64(date.timeIntervalSince1970 * 1_000)))
    }
  }

  private func show(
    _ shard: ShardInfo, from start: RecordIndex, in store: StreamStore, left: inout Int
  ) throws -> RecordIndex {
    let read = try store.read(
      shard.address, from: start, countLimit: min(left, 1_000), payloadByteLimit: 4_194_304, recordOverheadBytes: 0)
    guard case .records(let found) = read else { return start }
    let origin = BatchOrigin(
      stream: stream, shard: shard.address.shard, shardCreatedAtSeconds: shard.createdAtSeconds, attempt: 1)
    let batch = RecordBatch(origin: origin, run: found.run, range: 0..<found.batch.count)
    for position in 0..<batch.count { try show(FailedRecord(batch[position]), of: shard) }
    left -= batch.count
    return batch.lastIndex.advanced(by: 1)
  }

  private func show(_ record: FailedRecord, of shard: ShardInfo) throws {
    if store.output.isJSON { return try printJSON(record) }
    print(
      "\(shard.address.shard)  \(Text.short(record.sequenceNumber))  \(record.partitionKey)  "
        + (record.text ?? record.base64 ?? ""))
  }
}
