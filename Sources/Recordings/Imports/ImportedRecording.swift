internal import StreamModel

/// The records of imported files in the order of a recording.
public struct ImportedRecording: Sendable {
  public private(set) var header: RecordingHeader
  public let shards: [RecordedShard]
  /// Records that were left out because they could not be used.
  public let skipped: [ImportProblem]
  /// Records that were there several times, and are one.
  public private(set) var duplicates: UInt64 = 0
  /// Records that arrived before the one in front of them in their shard: their arrival is that one's.
  public private(set) var liftedArrivals: UInt64 = 0
  public var recordCount: Int { records.count }

  private let records: [(shard: ShardNumber, index: RecordIndex, record: ImportedRecord)]

  init(
    _ imported: [ImportedRecord], stream: String, kind: StreamKind, format: ImportFormat?, shardCount: Int,
    madeAt: WallTime, skipped: [ImportProblem]
  ) {
    let first = imported.map(\.arrival).min() ?? madeAt
    header = RecordingHeader(stream: stream, kind: kind, streamCreatedAt: first, madeAt: madeAt)
    header.imported = format?.rawValue
    self.skipped = skipped

    let ranges = HashKeyRange.evenly(shardCount)
    var byShard: [ShardNumber: [ImportedRecord]] = [:]
    for record in imported { byShard[record.shard ?? Self.shard(of: record, ranges), default: []].append(record) }
    var shards: [RecordedShard] = []
    var placed: [(shard: ShardNumber, index: RecordIndex, record: ImportedRecord)] = []
    for (number, records) in byShard.sorted(by: { $0.key < $1.key }) {
      let createdAtSeconds =
        records.lazy.compactMap(\.shardCreatedAtSeconds).first ?? UInt64(max(0, first.milliseconds / 1_000))
      let isOurs = Int(number.rawValue) < ranges.count && records.contains { $0.shard == nil }
      shards.append(
        RecordedShard(
          shard: number, createdAt: first, createdAtSeconds: createdAtSeconds,
          hashKeys: isOurs ? ranges[Int(number.rawValue)] : .all, parents: [], first: .zero))
      var known: Set<[UInt8]> = []
      var index = RecordIndex.zero
      var latest = WallTime(milliseconds: .min)
      for var record in Self.ordered(records) {
        if !record.identity.isEmpty, !known.insert(record.identity).inserted {
          duplicates += 1
          continue
        }
        if record.arrival < latest {
          record.arrival = latest
          liftedArrivals += 1
        }
        latest = record.arrival
        placed.append((number, index, record))
        index = index.advanced(by: 1)
      }
    }
    placed.sort { ($0.record.arrival, $0.shard, $0.index) < ($1.record.arrival, $1.shard, $1.index) }
    self.shards = shards
    records = placed
  }

  private static func shard(of record: ImportedRecord, _ ranges: [HashKeyRange]) -> ShardNumber {
    guard ranges.count > 1 else { return ShardNumber(0) }
    let key = record.hashKey ?? (unsafe record.key.withUnsafeBytes { unsafe HashKey(partitionKeyBytes: $0) })
    return ShardNumber(UInt32(ranges.firstIndex { $0.contains(key) } ?? 0))
  }

  /// By sequence number where all have one, which grow within a shard; otherwise by arrival. In both cases those that are
  /// alike stay as they came.
  private static func ordered(_ records: [ImportedRecord]) -> [ImportedRecord] {
    let isNumbered = records.allSatisfy { !$0.sequenceNumber.isEmpty }
    return records.enumerated().sorted { left, right in
      let (before, after) = (left.element, right.element)
      if isNumbered, before.sequenceNumber != after.sequenceNumber {
        if before.sequenceNumber.count != after.sequenceNumber.count {
          return before.sequenceNumber.count < after.sequenceNumber.count
        }
        return before.sequenceNumber.lexicographicallyPrecedes(after.sequenceNumber)
      }
      if !isNumbered, before.arrival != after.arrival { return before.arrival < after.arrival }
      return left.offset < right.offset
    }.map(\.element)
  }

  /// Puts values of fields out of all payloads as they are written.
  public mutating func redact(_ fields: [String]) { header.redacted = fields }

  /// Its text, in pieces.
  public func writing() -> ImportedRecordingText { ImportedRecordingText(self) }

  fileprivate func write(from next: Int, to writer: inout RecordingWriter, byteLimit: Int) -> Int {
    var next = next
    while next < records.count, writer.byteCount < byteLimit {
      let (shard, index, record) = records[next]
      writer.record(record, index: index, shard: shard)
      next += 1
    }
    return next
  }
}

/// Writes an imported recording piece by piece.
public final class ImportedRecordingText {
  private let recording: ImportedRecording
  private var writer: RecordingWriter
  private var next = 0
  private var isEnded = false
  private var piece: [UInt8] = []
  private var taken = 0

  private static let pieceByteCount = 1 << 20

  init(_ recording: ImportedRecording) {
    self.recording = recording
    writer = RecordingWriter(recording.header)
    for shard in recording.shards { writer.shardOpened(shard) }
  }

  public var redactedWhole: UInt64 { writer.redactedWhole }
  public var dataByteCount: UInt64 { writer.dataByteCount }

  /// The next piece; empty behind the last.
  public func nextPiece() -> [UInt8] {
    guard !isEnded else { return [] }
    next = recording.write(from: next, to: &writer, byteLimit: Self.pieceByteCount)
    if next == recording.recordCount {
      writer.end()
      isEnded = true
    }
    var bytes: [UInt8] = []
    unsafe writer.take { unsafe bytes = Array($0) }
    return bytes
  }

  /// Fills the front of the memory, as whoever reads a recording wants it; 0 at the end.
  public func read(into memory: UnsafeMutableRawBufferPointer) -> Int {
    if taken == piece.count {
      piece = nextPiece()
      taken = 0
    }
    let count = min(memory.count, piece.count - taken)
    unsafe memory.copyBytes(from: piece[taken..<taken + count])
    taken += count
    return count
  }
}
