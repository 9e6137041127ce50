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
  private let state: Mutex<(next: UInt64, totals: [Redelivery.Cause: UInt64])>
  /// The last worker did not say that it ended.
  let beganUnclean: Bool

  /// Reads what is there, and notes that a worker runs the mapping.
  init(
    of mapping: MappingNumber, in store: StreamStore, clock: @escaping @Sendable () -> Now, logger: Logger
  ) async throws {
    self.store = store
    self.mapping = mapping
    self.clock = clock
    self.logger = logger
    let found = try Self.totals(of: mapping, in: store)
    state = Mutex((found.next, found.totals))
    beganUnclean = try store.tableValue(of: Self.runningPlace, mapping) != nil
    do {
      _ = try await store.perform(.writeTables(mapping, [Self.runningPlace: [1]], isVital: true))
    } catch StoreError.mapFull, StoreError.diskFull {
      logger.warning(
        "there is no room to note that the mapping runs: what comes again after a crash will not be reported")
    }
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

  func note(_ entry: RedeliveryEntry) {
    var writes: TableWrites = [:]
    state.withLock { state in
      let number = state.next
      state.next += 1
      state.totals[entry.redelivery.cause, default: 0] += UInt64(entry.redelivery.count)
      writes.updateValue(entry.encoded(), forKey: Self.place(number))
      if number > UInt64(Self.limit) { writes.updateValue(nil, forKey: Self.place(number - UInt64(Self.limit))) }
      writes.updateValue(Self.encoded(state.next, state.totals), forKey: Self.totalsPlace)
    }
    let logger = logger
    store.submit(.writeTables(mapping, writes, isVital: false), isPatient: true) { result in
      guard case .failure(let error) = result else { return }
      logger.warning("a redelivery could not be noted", metadata: ["error": "\(error)"])
    }
  }

  // MARK: Reading

  /// Records that were delivered again, by cause, over all deliveries.
  public static func totals(
    of mapping: MappingNumber, in store: StreamStore
  ) throws(StoreError) -> (next: UInt64, totals: [Redelivery.Cause: UInt64]) {
    guard let value = try store.tableValue(of: totalsPlace, mapping) else { return (1, [:]) }
    var reader = ByteReader(value)
    do throws(LaneRecordError) {
      let next: UInt64 = try reader.read()
      var totals: [Redelivery.Cause: UInt64] = [:]
      for cause in Redelivery.Cause.allCases { totals[cause] = try reader.read() }
      return (next, totals.filter { $0.value > 0 })
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

  private static func place(_ number: UInt64) -> TableEntryKey {
    TableEntryKey(
      bytes: prefix + withUnsafeBytes(of: number.bigEndian) { Array($0) } + [UInt8](repeating: 0, count: 8))
  }

  private static func encoded(_ next: UInt64, _ totals: [Redelivery.Cause: UInt64]) -> [UInt8] {
    var writer = ByteWriter()
    writer.write(next)
    for cause in Redelivery.Cause.allCases { writer.write(totals[cause] ?? 0) }
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
