import Foundation
import StreamModel
import StreamStore

/// A store for one run, with one stream. Removed with its folder when closed.
struct BenchStore {
  let folder: URL
  let store: StreamStore
  let routing: Routing

  static let stream = "bench"

  /// A temporary folder of its own.
  static func folder(_ options: BenchOptions) -> URL {
    let parent = options.directory.map { URL(filePath: $0) } ?? FileManager.default.temporaryDirectory
    return parent.appending(path: "sluice-bench-\(UUID().uuidString)")
  }

  static func make(_ options: BenchOptions, shards: Int, at folder: URL? = nil) async throws -> BenchStore {
    let folder = folder ?? Self.folder(options)
    let store = try StreamStore.open(at: folder.path, options: options.durability.storeOptions, role: .writer)
    _ = try await store.perform(
      .createStream(NewStream(name: stream, shardCount: shards, retentionMilliseconds: 365 * 86_400_000)))
    return try BenchStore(folder: folder, store: store)
  }

  private init(folder: URL, store: StreamStore) throws {
    self.folder = folder
    self.store = store
    self.routing = try store.routing(of: Self.stream)
  }

  /// Closes the store and removes its folder. What cannot be removed is left to the system: it is temporary.
  func remove() {
    store.close()
    try? FileManager.default.removeItem(at: folder)
  }

  /// Fills the stream with `records` records, spread evenly over its shards, with the store's own durability. With more
  /// than one key each shard gets all of them in turn.
  func fill(records: Int, recordBytes: Int, keys keyCount: Int = 1, progress: inout ProgressLine) async throws {
    try await fill(records: records, recordBytes: recordBytes, progress: &progress) { place in
      keyCount == 1 ? "key" : "key \(place % keyCount)"
    }
  }

  /// The same with lines of a file as data.
  func fill(
    records: Int, lines: LineBacklog, keys keyCount: Int, progress: inout ProgressLine
  ) async throws {
    try await fill(records: records, progress: &progress) { place in
      keyCount == 1 ? "key" : "key \(place % keyCount)"
    } data: { position in
      lines.data(at: position)
    }
  }

  /// `key` names the partition key of a record by its place in its shard, from 0 on. All have the same `data`; `nil`:
  /// letters.
  func fill(
    records: Int, recordBytes: Int, data: [UInt8]? = nil, progress: inout ProgressLine, key: (Int) -> String
  ) async throws {
    let data = data ?? [UInt8](repeating: 0x61, count: recordBytes)
    try await fill(records: records, progress: &progress, key: key) { _ in data }
  }

  /// `data` tells the data of a record by its place in the whole backlog.
  private func fill(
    records: Int, progress: inout ProgressLine, key: (Int) -> String, data: (Int) -> [UInt8]
  ) async throws {
    // An explicit hash key for each shard: the same number of records everywhere.
    let keys = routing.shards.map(\.hashKeys.first)
    var put = 0
    while put < records {
      let count = min(20_000, records - put)
      var request = AppendRequest(to: routing)
      for position in put..<(put + count) {
        try request.add(
          partitionKey: key(position / keys.count), data: data(position).span.bytes,
          explicitHashKey: keys[position % keys.count])
      }
      _ = try await store.append(request)
      put += count
      let done = put
      progress.show("filling: \(Text.count(done)) of \(Text.count(records)) records")
    }
    progress.clear()
  }
}

extension BenchDurability {
  var storeOptions: StoreOptions {
    var options = StoreOptions()
    switch self {
    case .commit: options.durability = .commit
    case .interval: options.durability = .interval(milliseconds: 1_000)
    case .system: options.durability = .system
    }
    return options
  }
}
