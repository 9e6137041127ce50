public import Recordings
import StreamModel

/// What a record is called outside of a run: enough to find it in its recording and in the store.
public struct RecordName: Codable, Hashable, Sendable {
  /// Its place in the shard.
  public var index: UInt64
  /// What handlers know it by, and `sluice explain --record`.
  public var sequenceNumber: String
  /// `nil` where only the run is known: keys are in the recording. Invalid UTF-8 is shown as `�`.
  public var partitionKey: String?
}

/// Names of the records that are asked for, by shard and index.
struct RecordNames {
  private var names: [UInt32: [UInt64: RecordName]] = [:]
  /// When shards were created: sequence numbers are made of it, where they were not imported.
  private let createdAtSeconds: [UInt32: UInt64]

  init(createdAtSeconds: [UInt32: UInt64]) { self.createdAtSeconds = createdAtSeconds }

  subscript(shard: UInt32, index: UInt64) -> RecordName? {
    if let known = names[shard]?[index] { return known }
    guard let seconds = createdAtSeconds[shard], index <= SequenceNumber.greatestIndex else { return nil }
    let number = SequenceNumber(
      shardCreatedAtSeconds: seconds, shard: ShardNumber(shard), index: RecordIndex(index))
    return RecordName(index: index, sequenceNumber: number.description)
  }

  /// Reads a recording to its end, and takes the names of the records in these stretches.
  mutating func read(_ reader: consuming RecordingReader, _ wanted: [UInt32: [ClosedRange<UInt64>]])
    throws(RecordingError)
  {
    let wanted = wanted.mapValues { $0.sorted { $0.lowerBound < $1.lowerBound } }
    // The stretch of each shard that comes next: records of a shard stand in their order. Stretches may overlap.
    var places: [UInt32: Int] = [:]
    while let line = try reader.next() {
      guard line == .record, let stretches = wanted[reader.shard.rawValue] else { continue }
      let (shard, index) = (reader.shard.rawValue, reader.index.rawValue)
      var place = places[shard] ?? 0
      while place < stretches.count, stretches[place].upperBound < index { place += 1 }
      places[shard] = place
      guard place < stretches.count, stretches[place].contains(index) else { continue }
      names[shard, default: [:]][index] = RecordName(
        index: index, sequenceNumber: reader.sequenceNumber, partitionKey: reader.partitionKey)
    }
  }
}

extension RunDifference {
  /// So many records of a stretch are named, and its last one.
  public static let namedRecordLimit: UInt64 = 1_000

  /// Names records by what the runs say of their shards: without partition keys.
  mutating func name(with names: RecordNames) {
    func name(_ records: inout [Record]) {
      for place in records.indices {
        let record = records[place]
        records[place].names = record.namedIndices.compactMap { names[record.shard, $0] }
      }
    }
    name(&newlyFailing)
    name(&newlySucceeding)
    name(&failingOtherwise)
    for place in answers.indices {
      answers[place].firstRecord = answers[place].records.first?.first.flatMap { names[answers[place].shard, $0] }
    }
  }

  /// Names records out of the recording that was replayed, or of what happened: with their partition keys. It is read to its
  /// end; of stretches of more than ``namedRecordLimit`` records the first so many are named, and the last one.
  public mutating func name(from reader: consuming RecordingReader) throws(RecordingError) {
    var wanted: [UInt32: [ClosedRange<UInt64>]] = [:]
    for record in newlyFailing + newlySucceeding + failingOtherwise {
      wanted[record.shard, default: []] += record.namedStretches
    }
    for answer in answers {
      if let first = answer.records.first?.first { wanted[answer.shard, default: []].append(first...first) }
    }
    guard !wanted.isEmpty else { return }
    var names = RecordNames(createdAtSeconds: [:])
    try names.read(reader, wanted)
    self.name(with: names)
  }

  /// Records that came to something else are named, and none by its partition key.
  public var lacksPartitionKeys: Bool {
    let records = newlyFailing + newlySucceeding + failingOtherwise
    return !records.isEmpty && records.allSatisfy { $0.names.allSatisfy { $0.partitionKey == nil } }
  }
}

extension RunDifference.Record {
  /// Of a long stretch the beginning, and the last record.
  fileprivate var namedStretches: [ClosedRange<UInt64>] {
    let limit = RunDifference.namedRecordLimit
    return count <= limit ? [first...last] : [first...first + limit - 1, last...last]
  }

  fileprivate var namedIndices: [UInt64] { namedStretches.flatMap { Array($0) } }

  /// In words, such as `25–30, 4967… to 4968…, N14228, N24211 and others`: so many different keys are shown, and so many
  /// characters of each.
  public func words(keyLimit: Int = 3, keyCharacterLimit: Int = 60) -> String {
    [count == 1 ? "\(first)" : "\(first)–\(last)", sequenceNumbers, keys(keyLimit, keyCharacterLimit)]
      .filter { !$0.isEmpty }.joined(separator: ", ")
  }

  /// `4967…`, or `4967… to 4968…`; empty if nobody knows them.
  var sequenceNumbers: String {
    guard let first = names.first?.sequenceNumber, let last = names.last?.sequenceNumber else { return "" }
    return first == last ? first : "\(first) to \(last)"
  }

  /// `N14228, N24211 and others`; empty if nobody knows them.
  func keys(_ limit: Int, _ characterLimit: Int) -> String {
    var keys: [String] = []
    for key in names.compactMap(\.partitionKey) where !keys.contains(key) {
      keys.append(key)
      if keys.count > limit { break }
    }
    guard !keys.isEmpty else { return "" }
    let shown = keys.prefix(limit).map { $0.count > characterLimit ? $0.prefix(characterLimit) + "…" : $0[...] }
    return shown.joined(separator: ", ") + (keys.count > limit ? " and others" : "")
  }
}
