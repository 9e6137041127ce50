import Foundation
import Logging
import ShardCore
import Sluice
import StreamModel
import StreamStore

/// A process whose transactional handler counts: how often it has seen each record, and the records of each partition
/// key. It fails at random, writes a line for each delivery, and works until it is killed.
///
///     CountingWorker STORE SEED
@main
struct CountingWorker {
  static func main() async throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 3, let seed = UInt64(arguments[2]) else {
      FileHandle.standardError.write(Data("usage: CountingWorker STORE SEED\n".utf8))
      exit(64)
    }
    var options = StoreOptions()
    options.mapBytes = 1 << 30
    let store = try StreamStore.open(at: arguments[1], options: options)
    var mapping = EventSourceMapping("count", stream: "numbers", from: .trimHorizon)
    mapping.batch = .init(upTo: 20)
    mapping.retry = .init(
      bisects: seed.isMultiple(of: 2), backoff: .init(firstMilliseconds: 1, capMilliseconds: 2, jitterPercent: 0))
    var processor = StreamProcessor(store: store)
    processor.logger = Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }
    processor.map(mapping, to: Counting(seed: seed))
    try await processor.run()
  }
}

struct Counting: TransactionalBatchHandler {
  var seed: UInt64

  func handle(_ batch: RecordBatch, in scope: inout TableScope) async throws -> HandlerOutcome {
    let place = batch.firstIndex.rawValue &* 31 &+ UInt64(batch.origin.attempt) &* 1_009
    var dice = SplitMix64(seed: seed ^ place ^ UInt64(batch.origin.shard.rawValue) << 40)
    let failing = Int.random(in: 0..<10, using: &dice) < 3 ? Int.random(in: 0..<batch.count, using: &dice) : batch.count
    for position in 0..<batch.count {
      try scope.begin(at: position)
      let owner = TableOwner.partitionKey(of: batch[position])
      try scope.count(Array("count".utf8), in: "keys", of: owner)
      try scope.count(Array("\(batch.sequenceNumber(at: position))".utf8), in: "seen", of: .lane)
      if position == failing {
        say(batch)
        if Bool.random(using: &dice) { return .failed(at: batch.sequenceNumber(at: position)) }
        throw HandlerFailure(kind: .error, type: "Dice", message: "The dice said so.")
      }
      if position.isMultiple(of: 7) { await Task.yield() }
    }
    say(batch)
    return .succeeded
  }

  private func say(_ batch: RecordBatch) {
    FileHandle.standardOutput.write(Data("delivered \(batch.count)\n".utf8))
  }
}

extension TableScope {
  fileprivate mutating func count(_ key: [UInt8], in table: String, of owner: TableOwner) throws {
    let former = try get(key, from: table, of: owner) ?? []
    let count = UInt64(String(decoding: former, as: UTF8.self)) ?? 0
    try put(key, Array("\(count + 1)".utf8), into: table, of: owner)
  }
}
