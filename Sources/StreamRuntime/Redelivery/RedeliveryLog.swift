import Locks
import Logging
import ShardCore
public import StreamModel
public import StreamStore

/// One delivery of records that were, or may have been, delivered before.
public struct RedeliveryEntry: Hashable, Sendable {
  public var at: WallTime
  public var shard: ShardNumber
  public var slot: Int
  public var first: RecordIndex
  public var last: RecordIndex
  /// The first so many records of the batch, and why they came again.
  public var redelivery: Redelivery
  public var attempt: Int
  /// That of the invocation they came to.
  public var requestID: String

  public init(
    at: WallTime, shard: ShardNumber, slot: Int, first: RecordIndex, last: RecordIndex, redelivery: Redelivery,
    attempt: Int, requestID: String
  ) {
    self.at = at
    self.shard = shard
    self.slot = slot
    self.first = first
    self.last = last
    self.redelivery = redelivery
    self.attempt = attempt
    self.requestID = requestID
  }
}

/// The redeliveries of one mapping: how many records there were for each cause, and the last deliveries. They stand in a
/// table of the mapping that no handler can name. Written when there is one, and not otherwise.
public final class RedeliveryLog: Sendable {
  /// Deliveries that are kept; the counts are of all.
  public static let limit = 1_000

  private let store: StreamStore
  private let mapping: MappingNumber
  private let clock: @Sendable () -> Now
  private let logger: Logger
  private let state: Mutex<RedeliverySums>
  /// Records of a lane that may have been in flight when the last worker ended; 0 if it said that it had ended.
  let formerSuspects: Int
  /// The same of this worker, and of those before it that did not end well.
  private let suspects: Mutex<Int>

  /// What was written of one delivery.
  struct Noted {
    fileprivate var number: UInt64
    fileprivate var redelivery: Redelivery
  }

  /// Reads what is there, and notes that a worker runs the mapping.
  ///
  /// - Parameters:
  ///   - suspects: see ``ShardCore/RedeliveryTracker/suspects(_:)``.
  ///   - hasOtherLanes: other lanes share the shards than with the last worker.
  init(
    of mapping: MappingNumber, in store: StreamStore, suspects: Int, hasOtherLanes: Bool,
    clock: @escaping @Sendable () -> Now, logger: Logger
  ) async throws {
    self.store = store
    self.mapping = mapping
    self.clock = clock
    self.logger = logger
    state = Mutex(try Self.sums(of: mapping, in: store))
    let former = try store.tableValue(of: Self.runningPlace, mapping).map(Self.count) ?? 0
    // What one lane had in flight may be anywhere in the others.
    formerSuspects = former > 0 && hasOtherLanes ? .max : former
    let all = max(formerSuspects, suspects)
    self.suspects = Mutex(all)
    await mark(all)
  }

  /// The mapping goes on with other settings: a lane may have so many records in flight from now on.
  func widen(to more: Int) async {
    let isMore = suspects.withLock { suspects in
      defer { suspects = max(suspects, more) }
      return more > suspects
    }
    if isMore { await mark(more) }
  }

  private func mark(_ suspects: Int) async {
    do {
      let value = withUnsafeBytes(of: UInt64(clamping: suspects).bigEndian) { Array($0) }
      _ = try await store.perform(.writeTables(mapping, [Self.runningPlace: value], isVital: true))
    } catch {
      logger.warning(
        "it could not be noted that the mapping runs: what comes again after a crash may not be reported",
        metadata: ["error": "\(error)"])
    }
  }

  private static func count(_ bytes: [UInt8]) -> Int {
    Int(clamping: bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
  }

  /// The worker has ended everything of the mapping, and all of it is stored.
  func close() async {
    do {
      _ = try await store.perform(.writeTables(mapping, [Self.runningPlace: nil], isVital: true))
    } catch {
      logger.warning(
        "it could not be noted that the mapping was closed: its first records will be reported as delivered again",
        metadata: ["error": "\(error)"])
    }
  }

  var now: WallTime { clock().wall }

  func note(_ entry: RedeliveryEntry) -> Noted {
    state.withLock { state in
      let number = state.next
      state.next += 1
      state.deliveries += 1
      state.records[entry.redelivery.cause, default: 0] += UInt64(entry.redelivery.count)
      var writes: TableWrites = [:]
      writes.updateValue(entry.encoded(), forKey: Self.place(number))
      if number > UInt64(Self.limit) { writes.updateValue(nil, forKey: Self.place(number - UInt64(Self.limit))) }
      write(writes, state)
      return Noted(number: number, redelivery: entry.redelivery)
    }
  }

  /// The handler was not called after all.
  func forget(_ noted: Noted) {
    state.withLock { state in
      state.deliveries -= 1
      state.records[noted.redelivery.cause, default: 0] -= UInt64(noted.redelivery.count)
      write([Self.place(noted.number): nil], state)
    }
  }

  /// Under the lock: later sums must not be overtaken by earlier ones.
  private func write(_ changes: TableWrites, _ sums: RedeliverySums) {
    var writes = changes
    writes.updateValue(sums.encoded, forKey: Self.totalsPlace)
    let logger = logger
    store.submit(.writeTables(mapping, writes, isVital: false), isPatient: true) { result in
      guard case .failure(let error) = result else { return }
      logger.warning("a redelivery could not be noted", metadata: ["error": "\(error)"])
    }
  }

  // MARK: Seeks

  /// An operator is about to move the lanes of a shard back, which have come to `ends`, by slot: what they had passed
  /// comes again. Zero for a lane that is not moved back.
  public static func noteSeek(
    _ ends: [RecordIndex], of mapping: MappingNumber, on shard: ShardNumber, in store: StreamStore
  ) async throws(StoreError) {
    guard ends.contains(where: { $0 > .zero }) else { return }
    // Of an earlier seek some may still be to come.
    let former = try soughtEnds(of: mapping, on: shard, factor: ends.count, in: store)
    var writer = ByteWriter()
    for (end, former) in zip(ends, former) { writer.write(max(end, former).rawValue) }
    _ = try await store.perform(.writeTables(mapping, [seekPlace(shard): writer.bytes], isVital: true))
  }

  /// How far each lane of a shard, of `factor` lanes, had come before it was moved back. Where there were others then, as
  /// far as one of them had come.
  static func soughtEnds(
    of mapping: MappingNumber, on shard: ShardNumber, factor: Int, in store: StreamStore
  ) throws(StoreError) -> [RecordIndex] {
    let none = [RecordIndex](repeating: .zero, count: factor)
    guard let value = try store.tableValue(of: seekPlace(shard), mapping) else { return none }
    var reader = ByteReader(value)
    var ends: [RecordIndex] = []
    do throws(LaneRecordError) {
      while !reader.isAtEnd { ends.append(try reader.readIndex()) }
    } catch {
      throw .corrupted("how far mapping \(mapping.rawValue) had come on \(shard) before a seek")
    }
    return ends.count == factor ? ends : none.map { max($0, ends.max() ?? .zero) }
  }

  // MARK: Reading

  /// The sums over all redeliveries.
  public static func sums(of mapping: MappingNumber, in store: StreamStore) throws(StoreError) -> RedeliverySums {
    guard let value = try store.tableValue(of: totalsPlace, mapping) else { return RedeliverySums() }
    do throws(LaneRecordError) {
      return try RedeliverySums(decoding: value)
    } catch {
      throw .corrupted("the counts of redeliveries of mapping \(mapping.rawValue)")
    }
  }

  /// The last deliveries, the newest first, at most `limit`.
  public static func entries(
    of mapping: MappingNumber, in store: StreamStore, limit: Int = RedeliveryLog.limit
  ) throws(StoreError) -> [RedeliveryEntry] {
    var entries: [RedeliveryEntry] = []
    try store.forEachTableEntry(of: mapping, from: prefix) { place, value in
      guard place.bytes.starts(with: prefix) else { return false }
      if let entry = RedeliveryEntry(decoding: value) { entries.append(entry) }
      return true
    }
    return Array(entries.reversed().prefix(limit))
  }

  // MARK: On disk

  private static let prefix: [UInt8] = [6] + Array("#again".utf8) + [1]
  private static let totalsPlace = TableEntryKey(
    bytes: [7] + Array("#totals".utf8) + [1] + [UInt8](repeating: 0, count: 16))
  private static let runningPlace = TableEntryKey(
    bytes: [5] + Array("#runs".utf8) + [1] + [UInt8](repeating: 0, count: 16))

  private static func seekPlace(_ shard: ShardNumber) -> TableEntryKey {
    TableEntryKey(
      bytes: [7] + Array("#sought".utf8) + [1] + withUnsafeBytes(of: UInt64(shard.rawValue).bigEndian) { Array($0) }
        + [UInt8](repeating: 0, count: 8))
  }

  private static func place(_ number: UInt64) -> TableEntryKey {
    TableEntryKey(
      bytes: prefix + withUnsafeBytes(of: number.bigEndian) { Array($0) } + [UInt8](repeating: 0, count: 8))
  }
}

/// The sums over all redeliveries of a mapping.
public struct RedeliverySums: Hashable, Sendable {
  /// The number of the next one.
  var next: UInt64 = 1
  public var deliveries: UInt64 = 0
  /// Records that were delivered again, by cause; those of one that comes again twice count twice.
  public var records: [Redelivery.Cause: UInt64] = [:]

  init() {}

  init(decoding bytes: [UInt8]) throws(LaneRecordError) {
    var reader = ByteReader(bytes)
    next = try reader.read()
    deliveries = try reader.read()
    for cause in Redelivery.Cause.allCases {
      // A cause that came later than what was written.
      if reader.isAtEnd { break }
      let count: UInt64 = try reader.read()
      if count > 0 { records[cause] = count }
    }
  }

  var encoded: [UInt8] {
    var writer = ByteWriter()
    writer.write(next)
    writer.write(deliveries)
    for cause in Redelivery.Cause.allCases { writer.write(records[cause] ?? 0) }
    return writer.bytes
  }
}

extension RedeliveryEntry {
  func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(at.milliseconds)
    writer.write(shard.rawValue)
    writer.write(UInt8(slot))
    writer.write(first.rawValue)
    writer.write(last.rawValue)
    writer.write(UInt32(redelivery.count))
    writer.write(redelivery.cause.rawValue)
    writer.write(UInt32(attempt))
    writer.write(requestID)
    return writer.bytes
  }

  /// `nil` for what another version wrote.
  init?(decoding bytes: [UInt8]) {
    var reader = ByteReader(bytes)
    do throws(LaneRecordError) {
      let time: Int64 = try reader.read()
      let shard: UInt32 = try reader.read()
      let slot: UInt8 = try reader.read()
      let first = try reader.readIndex()
      let last = try reader.readIndex()
      let count: UInt32 = try reader.read()
      let cause: UInt8 = try reader.read()
      let attempt: UInt32 = try reader.read()
      guard count > 0, let cause = Redelivery.Cause(rawValue: cause) else { return nil }
      self.init(
        at: WallTime(milliseconds: time), shard: ShardNumber(shard), slot: Int(slot), first: first, last: last,
        redelivery: Redelivery(count: Int(count), cause: cause), attempt: Int(attempt),
        requestID: try reader.readString())
    } catch {
      return nil
    }
  }
}
