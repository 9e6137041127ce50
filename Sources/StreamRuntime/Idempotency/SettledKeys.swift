import EventPattern
import Locks
import ShardCore
import StreamModel
import StreamStore

/// The keys of what the handler of one mapping has done. In the store they are entries of two tables that no handler can
/// name: one by key, for who asks, and one by time, for those that expire.
///
/// Lanes look keys up while they read and add some when a delivery counts. Both at once from several threads; two lanes
/// never ask for the same key.
final class SettledKeys: Sendable {
  let settings: Idempotency
  private let store: StreamStore
  private let mapping: MappingNumber
  private let clock: @Sendable () -> Now
  private let state: Mutex<State>

  private struct State {
    /// About so many keys are there or on their way.
    var count: Int
    /// Every key older than the place behind this one is gone, or is being removed.
    var sweptThrough: [UInt8]
  }

  /// Expired keys that go with one delivery, beside two for each new one.
  static let sweepMinimum = 16

  /// Counts what is there, which is a walk.
  init(
    _ settings: Idempotency, of mapping: MappingNumber, in store: StreamStore, clock: @escaping @Sendable () -> Now
  ) throws(StoreError) {
    self.settings = settings
    self.clock = clock
    self.store = store
    self.mapping = mapping
    var count = 0
    try store.forEachTableEntry(of: mapping, from: SettledKey.timePrefix) { place, _ in
      guard place.bytes.starts(with: SettledKey.timePrefix) else { return false }
      count += 1
      return true
    }
    state = Mutex(State(count: count, sweptThrough: SettledKey.timePrefix))
  }

  var now: WallTime { clock().wall }

  var count: Int { state.withLock { $0.count } }

  /// The key of a record; `nil` if it has none.
  func key(of record: borrowing RecordView) -> SettledKey? {
    SettledKey(of: record, settings.key)
  }

  /// Whether what the key stands for is done, as far as the store or what is on its way to it knows.
  func isSettled(_ key: SettledKey, _ layers: [TableWrites], at now: WallTime) throws(StoreError) -> Bool {
    for layer in layers {
      guard let known = layer[key.place] else { continue }
      return known.map { isLive($0, at: now) } ?? false
    }
    guard count > 0, let value = try store.tableValue(of: key.place, mapping) else { return false }
    return isLive(value, at: now)
  }

  private func isLive(_ value: [UInt8], at now: WallTime) -> Bool {
    SettledKey.time(value).map { now.milliseconds < $0 + settings.expiryMilliseconds } ?? false
  }

  /// Whether there is room for so many more. Keys that have expired make room as others come.
  func hasRoom(for more: Int, at now: WallTime) throws(StoreError) -> Bool {
    let (count, start) = state.withLock { ($0.count, $0.sweptThrough) }
    guard count + more > settings.keyLimit else { return true }
    var expired = 0
    try forEachExpired(from: start, at: now) { _ in
      expired += 1
      return expired < more
    }
    return expired >= more
  }

  /// What makes these keys known, and forgets some of those that have expired.
  func writes(settling keys: [SettledKey], at now: WallTime) throws(StoreError) -> TableWrites {
    var writes: TableWrites = [:]
    try sweep(limit: 2 * keys.count + Self.sweepMinimum, at: now, into: &writes)
    for key in keys {
      writes.updateValue(SettledKey.value(now), forKey: key.place)
      writes.updateValue([], forKey: key.place(at: now))
    }
    state.withLock { $0.count += keys.count }
    return writes
  }

  /// Each expired key is taken by one lane.
  private func sweep(limit: Int, at now: WallTime, into writes: inout TableWrites) throws(StoreError) {
    var expired: [TableEntryKey] = []
    let start = state.withLock { $0.sweptThrough }
    try forEachExpired(from: start, at: now) { place in
      expired.append(place)
      return expired.count < limit
    }
    guard let last = expired.last else { return }
    let isOurs = state.withLock { state in
      guard state.sweptThrough == start else { return false }
      state.sweptThrough = last.bytes + [0]
      state.count -= expired.count
      return true
    }
    guard isOurs else { return }
    for place in expired {
      writes.updateValue(nil, forKey: place)
      guard let (key, time) = SettledKey.parts(ofPlaceByTime: place) else { continue }
      // One that was settled again since is remembered from then on.
      if let value = try store.tableValue(of: key, mapping), SettledKey.time(value) == time {
        writes.updateValue(nil, forKey: key)
      }
    }
  }

  private func forEachExpired(
    from start: [UInt8], at now: WallTime, _ body: (TableEntryKey) -> Bool
  ) throws(StoreError) {
    try store.forEachTableEntry(of: mapping, from: start) { place, _ in
      guard let (_, time) = SettledKey.parts(ofPlaceByTime: place),
        time + settings.expiryMilliseconds <= now.milliseconds
      else { return false }
      return body(place)
    }
  }
}

/// What a thing to do is known by: the partition key of its record, and the record or a value in its data.
struct SettledKey: Hashable, Sendable {
  /// Behind the names of the two tables: the MD5 of the partition key, then the shard and index of a record, or the MD5 of
  /// the value.
  private let identity: [UInt8]

  // Names that `TableEntryKey.prefix` refuses, and the kind of owner that a partition key is.
  private static let keyPrefix: [UInt8] = [5] + Array("#keys".utf8) + [1]
  static let timePrefix: [UInt8] = [6] + Array("#times".utf8) + [1]
  /// Fills what stands before the key by time up to an owner's length.
  private static let filling = [UInt8](repeating: 0, count: 8)

  init?(of record: borrowing RecordView, _ key: Idempotency.Key) {
    let partition = unsafe record.partitionKeyBytes.withUnsafeBytes { unsafe HashKey(partitionKeyBytes: $0) }
    var bytes = Self.bigEndian(partition.rawValue)
    switch key {
    case .record:
      bytes += Self.bigEndian(record.sequenceNumber.shard.rawValue)
      bytes += Self.bigEndian(record.sequenceNumber.index.rawValue)
    case .field(let path):
      guard let hash = RecordField.hash(at: path, in: record.data) else { return nil }
      bytes += Self.bigEndian(hash.rawValue)
    }
    identity = bytes
  }

  var place: TableEntryKey { TableEntryKey(bytes: Self.keyPrefix + identity) }

  func place(at time: WallTime) -> TableEntryKey {
    TableEntryKey(
      bytes: Self.timePrefix + Self.bigEndian(UInt64(max(0, time.milliseconds))) + Self.filling + identity)
  }

  /// The key that a place by time is about, and its time.
  static func parts(ofPlaceByTime place: TableEntryKey) -> (key: TableEntryKey, time: Int64)? {
    guard place.bytes.starts(with: timePrefix), place.bytes.count > timePrefix.count + 16 else { return nil }
    let rest = place.bytes.dropFirst(timePrefix.count)
    let time = rest.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return (TableEntryKey(bytes: keyPrefix + rest.dropFirst(16)), Int64(clamping: time))
  }

  static func value(_ time: WallTime) -> [UInt8] { bigEndian(UInt64(max(0, time.milliseconds))) }

  static func time(_ value: [UInt8]) -> Int64? {
    value.count == 8 ? Int64(clamping: value.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }) : nil
  }

  private static func bigEndian(_ number: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: number.bigEndian) { Array($0) }
  }
}

/// One value in the data of a record.
enum RecordField {
  /// The MD5 of the value at `path`, as it is written there. `nil` if the data is no JSON object, or has none there, or
  /// null. Of repeated names the last one counts, as in filters.
  static func hash(at path: [String], in data: RawSpan) -> HashKey? {
    do {
      return try find(path[...], in: data)
    } catch {
      return nil
    }
  }

  private static func find(_ path: ArraySlice<String>, in bytes: RawSpan) throws(JSONFault) -> HashKey? {
    var cursor = JSONCursor(bytes)
    let first = try cursor.peek()
    guard let name = path.first else {
      let text = (cursor.position..<bytes.byteCount).map { cursor.byte(at: $0) }
      return text == Array("null".utf8) ? nil : text.withUnsafeBytes { HashKey(partitionKeyBytes: $0) }
    }
    guard first == JSONByte.openBrace else { return nil }
    try cursor.enter()
    var found: HashKey?
    var text: [UInt8] = []
    var hasMember = try cursor.hasFirst(until: JSONByte.closeBrace)
    while hasMember {
      let key = try cursor.key()
      JSONUnescaping.decode(key, in: bytes, into: &text)
      let first = try cursor.peek()
      let start = cursor.position
      try cursor.skipValue(first)
      if text.elementsEqual(name.utf8) {
        found = try find(path.dropFirst(), in: bytes.extracting(start..<cursor.position))
      }
      hasMember = try cursor.hasNext(until: JSONByte.closeBrace)
    }
    return found
  }
}
