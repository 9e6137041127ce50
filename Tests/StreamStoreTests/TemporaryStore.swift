import Glibc
import LMDB
import Locks
import StreamModel
@testable import StreamStore
import Testing

/// A folder of one test with a store in it, removed with it.
final class TemporaryStore: Sendable {
  let path: String
  private let clock: SettableClock

  init() {
    var template = Array("/tmp/sluice-store-XXXXXX".utf8CString)
    // swift-format-ignore: NeverForceUnwrap
    path = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
    clock = SettableClock()
  }

  deinit {
    for name in ["data.mdb", "lock.mdb", "LOCK"] { unlink(path + "/" + name) }
    rmdir(path)
  }

  var now: WallTime {
    get { clock.time.withLock { $0 } }
    set { clock.time.withLock { $0 = newValue } }
  }

  func open(
    role: StreamStore.Role = .writer, durability: Durability = .system,
    _ change: (inout StoreOptions) -> Void = { _ in }
  ) throws(StoreError) -> StreamStore {
    var options = StoreOptions()
    options.durability = durability
    options.mapBytes = 1 << 30
    let clock = clock
    options.now = { clock.time.withLock { $0 } }
    change(&options)
    return try StreamStore.open(at: path, options: options, role: role)
  }
}

extension TemporaryStore {
  /// Changes one byte of the data file behind the first place where `mark` stands.
  func damage(behind mark: [UInt8]) throws {
    let descriptor = Glibc.open(path + "/data.mdb", O_RDWR)
    defer { close(descriptor) }
    var status = stat()
    fstat(descriptor, &status)
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    let size = bytes.count
    let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, size, 0) }
    try #require(count == size)
    let found = try #require(bytes.indices.first { bytes[$0...].starts(with: mark) })
    var changed = bytes[found + mark.count] ^ 0x10
    try #require(pwrite(descriptor, &changed, 1, off_t(found + mark.count)) == 1)
  }

  /// Changes what is stored of an entry behind the store's back, while nobody has it open: of the first one of the table,
  /// or of `key`. With `newKey` the changed value goes there.
  func change(
    _ table: String, _ key: Key? = nil, to newKey: Key? = nil, _ change: (inout [UInt8]) -> Void
  ) throws {
    let environment = try Environment(path: path, options: EnvironmentOptions(mapBytes: 1 << 30))
    guard let table = try environment.openTables([table])[0] else { throw StoreError.missing(path: path) }
    var (place, bytes) = try environment.read { transaction throws(LMDBError) -> (Key, [UInt8]) in
      var cursor = try transaction.cursor(in: table)
      let isThere = if let key { try cursor.seek(atOrAfter: key) } else { try cursor.next() }
      guard isThere else { throw .corrupted("there is no such entry") }
      return (cursor.key, cursor.value.withUnsafeBytes { Array($0) })
    }
    change(&bytes)
    place = newKey ?? place
    try environment.write { transaction throws(LMDBError) in try transaction.put(place, bytes, in: table) }
  }

  /// Removes an entry behind the store's back.
  func remove(_ table: String, _ key: Key) throws {
    let environment = try Environment(path: path, options: EnvironmentOptions(mapBytes: 1 << 30))
    guard let table = try environment.openTables([table])[0] else { throw StoreError.missing(path: path) }
    try environment.write { transaction throws(LMDBError) in _ = try transaction.delete(key, in: table) }
  }
}

/// A wall clock that stands still until it is set.
final class SettableClock: Sendable {
  let time = Monitor(WallTime(milliseconds: 1_700_000_000_000))
}

/// A little vocabulary.
extension StreamStore {
  func create(_ name: String = "orders", shards: Int = 1, recordByteLimit: Int = 1 << 20) throws -> StreamInfo {
    guard
      case .stream(let stream) = try performBlocking(
        .createStream(NewStream(name: name, shardCount: shards, recordByteLimit: recordByteLimit)))
    else { preconditionFailure("creating a stream answers with it") }
    return stream
  }

  func map(_ name: String) throws -> MappingInfo {
    guard case .mapping(let mapping) = try performBlocking(.storeMapping(name: name, settings: [])) else {
      preconditionFailure("storing a mapping answers with it")
    }
    return mapping
  }

  func request(_ stream: StreamNumber, _ numbers: Range<Int>, byteCount: Int = 10) throws -> AppendRequest {
    var request = AppendRequest(to: try routing(of: stream))
    for number in numbers {
      try request.add(
        partitionKey: "key-\(number)", data: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: byteCount))
    }
    return request
  }

  @discardableResult
  func append(_ numbers: Range<Int>, to stream: StreamNumber, byteCount: Int = 10) throws -> AppendReceipt {
    try appendBlocking(try request(stream, numbers, byteCount: byteCount))
  }

  /// The first byte of each record from `index` on.
  func marks(_ address: ShardAddress, from index: UInt64 = 0) throws -> [UInt8] {
    guard
      case .records(let found) = try read(
        address, from: RecordIndex(index), countLimit: 100_000, payloadByteLimit: .max / 2, recordOverheadBytes: 100)
    else { return [] }
    let origin = BatchOrigin(stream: "", shard: address.shard, shardCreatedAtSeconds: 0, attempt: 1)
    let batch = RecordBatch(origin: origin, run: found.run, range: 0..<found.run.count)
    return (0..<batch.count).map { batch[$0].dataBytes.first ?? 0 }
  }
}

extension ShardAddress {
  static func first(of stream: StreamInfo) -> ShardAddress {
    ShardAddress(stream: stream.number, shard: ShardNumber(0))
  }
}

extension TemporaryStore {
  /// Rewrites the store without a table, as if it had never had one, while nobody has it open.
  func drop(_ table: String) throws {
    var template = Array("/tmp/sluice-store-XXXXXX".utf8CString)
    let other = template.withUnsafeMutableBufferPointer {
      $0.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
    }
    let copy = try other ?? { throw StoreError.missing(path: path) }()
    let names = (["blocks", "inbox"] + SmallTable.Kind.allCases.map(\.name)).filter { $0 != table }
    do {
      let source = try Environment(path: path, options: EnvironmentOptions(mapBytes: 1 << 30))
      let target = try Environment(path: copy, options: EnvironmentOptions(mapBytes: 1 << 30))
      for (from, to) in zip(try source.openTables(names), try target.openTables(names)) {
        guard let from, let to else { throw StoreError.missing(path: path) }
        let entries = try source.read { transaction throws(LMDBError) -> [(Key, [UInt8])] in
          var entries: [(Key, [UInt8])] = []
          var cursor = try transaction.cursor(in: from)
          while try cursor.next() { entries.append((cursor.key, cursor.value.withUnsafeBytes { Array($0) })) }
          return entries
        }
        try target.write { transaction throws(LMDBError) in
          for (key, value) in entries { try transaction.put(key, value, in: to) }
        }
      }
    }
    guard rename(copy + "/data.mdb", path + "/data.mdb") == 0 else { throw StoreError.missing(path: path) }
    unlink(copy + "/lock.mdb")
    rmdir(copy)
  }
}
