internal import StreamModel

/// Puts imported records in order.
///
/// Where a time is all that they tell, that is one sorting. Otherwise it is three: those that are the same record come
/// together, and one of them stays; each shard is put in its order, in which arrivals that step back are lifted; and then
/// everything is put in the order of arrival.
final class RecordGathering {
  private let settings: ImportSettings
  private let isInOrderOfTime: Bool
  private let ranges: [HashKeyRange]
  private let sorter: EntrySorter
  private var facts: [ShardNumber: ShardFacts] = [:]
  private var count: UInt64 = 0
  private var body: [UInt8] = []
  private(set) var firstArrival: WallTime?

  /// What must be known of a shard before its records are written.
  private struct ShardFacts {
    var createdAtSeconds: UInt64?
    /// It got records by their keys.
    var isOurs = false
    /// All records have a sequence number.
    var isNumbered = true
  }

  init(_ settings: ImportSettings, _ format: ImportFormat) {
    self.settings = settings
    isInOrderOfTime = format.isInOrderOfTime
    ranges = HashKeyRange.evenly(settings.shardCount)
    sorter = EntrySorter(byteLimit: settings.sortingByteLimit, folder: settings.sortingFolder)
  }

  func add(_ record: ImportedRecord) throws(RecordingFileError) {
    let shard = record.shard ?? shard(of: record)
    var known = facts[shard] ?? ShardFacts()
    if known.createdAtSeconds == nil { known.createdAtSeconds = record.shardCreatedAtSeconds }
    if record.shard == nil { known.isOurs = true }
    if record.sequenceNumber.isEmpty { known.isNumbered = false }
    facts[shard] = known
    firstArrival = min(firstArrival ?? record.arrival, record.arrival)
    GatheredRecord.body(of: record, shard: shard, into: &body)
    let key =
      isInOrderOfTime
      ? GatheredRecord.timeKey(record.arrival, shard, count)
      : GatheredRecord.identityKey(shard, record.identity, count)
    count += 1
    unsafe try body.lendBytes { (body) throws(RecordingFileError) in unsafe try sorter.add(key: key, body: body) }
  }

  private func shard(of record: ImportedRecord) -> ShardNumber {
    guard ranges.count > 1 else { return ShardNumber(0) }
    let key = unsafe record.key.withUnsafeBytes { unsafe HashKey(partitionKeyBytes: $0) }
    return ShardNumber(UInt32(ranges.firstIndex { $0.contains(key) } ?? 0))
  }

  func end() throws(RecordingFileError) -> GatheredRecords {
    var gathered = GatheredRecords(shards: shards(), count: count)
    let sorted = try sorter.sorted()
    if isInOrderOfTime {
      gathered.entries = sorted
    } else {
      let unlike = try inShards(sorted, &gathered)
      gathered.entries = try inTime(unlike, &gathered)
    }
    return gathered
  }

  private func shards() -> [RecordedShard] {
    guard let first = firstArrival else { return [] }
    return facts.sorted { $0.key < $1.key }.map { number, known in
      let isOurs = known.isOurs && Int(number.rawValue) < ranges.count
      return RecordedShard(
        shard: number, createdAt: first,
        createdAtSeconds: known.createdAtSeconds ?? UInt64(max(0, first.milliseconds / 1_000)),
        hashKeys: isOurs ? ranges[Int(number.rawValue)] : .all, parents: [], first: .zero)
    }
  }

  /// Each shard in its order, without the records that are there once more: the first of them stays.
  private func inShards(
    _ sorted: SortedEntries, _ gathered: inout GatheredRecords
  ) throws(RecordingFileError) -> SortedEntries {
    let next = EntrySorter(byteLimit: settings.sortingByteLimit, folder: settings.sortingFolder)
    let reading = try sorted.reading()
    var identity: [UInt8]?
    var kept: (key: [UInt8], body: [UInt8])?
    var duplicates: UInt64 = 0
    while unsafe try reading.next({ (entry) throws(RecordingFileError) in
      let record = unsafe GatheredRecord(entry.body)
      let key = unsafe record.shardKey(
        bySequenceNumber: facts[record.shard]?.isNumbered ?? false, GatheredRecord.number(of: entry.key))
      let same = unsafe GatheredRecord.identity(of: entry.key)
      if let before = kept, let identity, let same = unsafe same, unsafe identity.elementsEqual(same) {
        duplicates += 1
        guard key.lexicographicallyPrecedes(before.key) else { return }
      } else if let before = kept {
        unsafe try before.body.lendBytes { (body) throws(RecordingFileError) in
          unsafe try next.add(key: before.key, body: body)
        }
      }
      identity = unsafe same.map { unsafe Array($0) }
      kept = unsafe (key, Array(entry.body))
    }) {}
    if let last = kept {
      unsafe try last.body.lendBytes { (body) throws(RecordingFileError) in
        unsafe try next.add(key: last.key, body: body)
      }
    }
    gathered.duplicates = duplicates
    gathered.count -= duplicates
    return try next.sorted()
  }

  /// All shards in the order of arrival.
  private func inTime(
    _ sorted: SortedEntries, _ gathered: inout GatheredRecords
  ) throws(RecordingFileError) -> SortedEntries {
    let next = EntrySorter(byteLimit: settings.sortingByteLimit, folder: settings.sortingFolder)
    let reading = try sorted.reading()
    var latest: (shard: ShardNumber, arrival: WallTime)?
    var number: UInt64 = 0
    var lifted: UInt64 = 0
    while unsafe try reading.next({ (entry) throws(RecordingFileError) in
      let record = unsafe GatheredRecord(entry.body)
      var arrival = record.arrival
      if let latest, latest.shard == record.shard, arrival < latest.arrival {
        arrival = latest.arrival
        lifted += 1
      }
      latest = (record.shard, arrival)
      // The arrival of the key is the one that counts.
      unsafe try next.add(key: GatheredRecord.timeKey(arrival, record.shard, number), body: entry.body)
      number += 1
    }) {}
    gathered.liftedArrivals = lifted
    return try next.sorted()
  }
}

/// Imported records in the order of a recording.
struct GatheredRecords: Sendable {
  let shards: [RecordedShard]
  var count: UInt64
  var duplicates: UInt64 = 0
  var liftedArrivals: UInt64 = 0
  /// By arrival, shard and place in it; the arrival is that of the key.
  var entries = SortedEntries(.files([]), bufferByteCount: 0)
}
