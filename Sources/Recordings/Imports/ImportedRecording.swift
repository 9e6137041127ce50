internal import StreamModel

/// The records of imported files in the order of a recording.
public struct ImportedRecording: Sendable {
  public private(set) var header: RecordingHeader
  /// Records that were left out because they could not be used.
  public let skipped: [ImportProblem]
  private let gathered: GatheredRecords

  init(_ gathered: GatheredRecords, header: RecordingHeader, skipped: [ImportProblem]) {
    self.gathered = gathered
    self.header = header
    self.skipped = skipped
  }

  public var shards: [RecordedShard] { gathered.shards }
  public var recordCount: UInt64 { gathered.count }
  /// Records that were there several times, and are one.
  public var duplicates: UInt64 { gathered.duplicates }
  /// Records that arrived before the one in front of them in their shard: their arrival is that one's.
  public var liftedArrivals: UInt64 { gathered.liftedArrivals }

  /// Puts values of fields out of all payloads as they are written.
  public mutating func redact(_ fields: [String]) { header.redacted = fields }

  /// Puts pseudonyms in place of all partition keys as they are written: with the same secret the same ones in every recording,
  /// with `nil` those of this one alone.
  public mutating func redactKeys(secret: [UInt8]?) {
    header.keys = .pseudonyms
    header.keySecret = secret
  }

  /// Its text, in pieces.
  public func writing() throws(RecordingFileError) -> ImportedRecordingText {
    ImportedRecordingText(header, shards, try gathered.entries.reading())
  }
}

/// Writes an imported recording piece by piece.
public final class ImportedRecordingText {
  private let entries: EntryReading
  private var writer: RecordingWriter
  /// Of each shard the index of its next record.
  private var next: [ShardNumber: RecordIndex] = [:]
  private var isEnded = false
  private var piece: [UInt8] = []
  private var taken = 0

  private static let pieceByteCount = 1 << 20

  init(_ header: RecordingHeader, _ shards: [RecordedShard], _ entries: EntryReading) {
    self.entries = entries
    writer = RecordingWriter(header)
    for shard in shards { writer.outline.shardOpened(shard) }
  }

  public var redactedWhole: UInt64 { writer.tally.redactedWhole }
  public var recordCount: UInt64 { writer.tally.recordCount }
  public var dataByteCount: UInt64 { writer.tally.dataByteCount }
  public var textByteCount: UInt64 { writer.tally.textByteCount }

  /// The next piece; empty behind the last.
  public func nextPiece() throws(RecordingFileError) -> [UInt8] {
    guard !isEnded else { return [] }
    while writer.byteCount < Self.pieceByteCount {
      guard unsafe try entries.next({ (entry) throws(RecordingFileError) in unsafe write(entry) }) else {
        writer.outline.end()
        isEnded = true
        break
      }
    }
    var bytes: [UInt8] = []
    unsafe writer.take { unsafe bytes = Array($0) }
    return bytes
  }

  private func write(_ entry: SortedEntry) {
    let record = unsafe GatheredRecord(entry.body)
    let index = next[record.shard] ?? .zero
    next[record.shard] = index.advanced(by: 1)
    unsafe writer.record(
      record, arrival: GatheredRecord.arrival(ofTimeKey: entry.key), index: index)
  }

  /// Fills the front of the memory, as whoever reads a recording wants it; 0 at the end.
  public func read(into memory: UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int {
    if taken == piece.count {
      piece = try nextPiece()
      taken = 0
    }
    let count = min(memory.count, piece.count - taken)
    unsafe memory.copyBytes(from: piece[taken..<taken + count])
    taken += count
    return count
  }
}
