public import StreamModel

/// A part of a recording.
public struct RecordingPart: Hashable, Sendable {
  /// Records that arrived at this moment or later, and before the other.
  public var from: WallTime?
  public var to: WallTime?
  /// `nil`: all.
  public var shards: Set<ShardNumber>?

  public init(from: WallTime? = nil, to: WallTime? = nil, shards: Set<ShardNumber>? = nil) {
    self.from = from
    self.to = to
    self.shards = shards
  }
}

/// What a part of a recording consists of, for those who want all of it as fast as can be.
public enum RecordingPiece {
  /// What follows begins: when the first record arrived, and for shards that were opened before, and of which earlier
  /// records are not in the part, the index behind those.
  case beginning(WallTime, [ShardNumber: RecordIndex])
  /// Records of a shard, behind those that were given before, and the sequence numbers of those that were imported with
  /// one of their own.
  case records(PackedRecords, numbers: [ImportedNumber])
  /// Behind all records that the recording has before it.
  case shardOpened(RecordedShard)
  case shardClosed(RecordedClosing)
}

/// The sequence number that a record was imported with.
public struct ImportedNumber: Hashable, Sendable {
  public var index: RecordIndex
  public var text: String
}

/// Gathers the records of a recording, shard by shard, in pieces of some hundred kilobytes.
///
/// Which pieces there are, and in what order, depends on the recording and the part alone.
struct RecordingPieces: ~Copyable {
  private(set) var reader: RecordingReader
  private let part: RecordingPart
  /// The pieces that take more, by shard.
  private var open: [ShardNumber: Open] = [:]
  /// Bytes of records in them.
  private var openByteCount = 0
  /// Those that are ready; before `head` they were given.
  private var ready: [RecordingPiece] = []
  private var head = 0
  /// The line that was read and not looked at.
  private var pending: RecordingLine?
  private var isAtEnd = false
  private var failure: RecordingError?
  private var hasBegun = false
  /// Of shards of the part, before its first record.
  private var firsts: [ShardNumber: RecordIndex] = [:]
  /// Pieces whose records were used, and whose memory is used again.
  var spare: [PackedRecords] = []

  private struct Open {
    var records: PackedRecords
    var numbers: [ImportedNumber] = []
  }

  /// So much is gathered at most: with many shards pieces are small.
  static let openByteLimit = 4 << 20
  /// Bytes after which it is looked whether that is too much.
  private static let turnByteLimit = 256 << 10

  init(_ reader: consuming RecordingReader, _ part: RecordingPart) {
    self.reader = reader
    self.part = part
  }

  /// `nil` at the end.
  mutating func next() throws(RecordingError) -> RecordingPiece? {
    while true {
      if head < ready.count {
        head += 1
        return ready[head - 1]
      }
      ready.removeAll(keepingCapacity: true)
      head = 0
      if let failure { throw failure }
      if isAtEnd { return nil }
      do throws(RecordingError) { try advance() } catch {
        // What stands before it is given first.
        failure = error
        closeAll()
      }
    }
  }

  private mutating func advance() throws(RecordingError) {
    let line: RecordingLine?
    if let pending { line = pending } else { line = try reader.next() }
    pending = nil
    switch line {
    case .record: try takeRecord()
    case .shardOpened(let shard):
      guard isWanted(shard.shard) else { return }
      closeAll()
      ready.append(.shardOpened(shard))
    case .shardClosed(let closing):
      guard isWanted(closing.shard) else { return }
      closeAll()
      ready.append(.shardClosed(closing))
    // What became of them once is for who compares.
    case .missing, .outcome, .checkpoint: return
    case nil:
      isAtEnd = true
      closeAll()
    }
  }

  private func isWanted(_ shard: ShardNumber) -> Bool { part.shards?.contains(shard) ?? true }

  private mutating func takeRecord() throws(RecordingError) {
    let shard = reader.shard
    guard isWanted(shard), part.to.map({ reader.arrival < $0 }) ?? true else { return }
    if let from = part.from, reader.arrival < from {
      if !hasBegun { firsts[shard] = reader.index.advanced(by: 1) }
      return
    }
    if !hasBegun {
      hasBegun = true
      ready.append(.beginning(reader.arrival, firsts))
    }
    let records = taker(of: shard)
    if reader.header.imported == nil {
      var appended = RecordingReader.Appended()
      defer { openByteCount += appended.byteCount }
      pending = try reader.appendRecords(
        to: records, byteLimit: Self.turnByteLimit, before: part.to ?? .distantFuture, counting: &appended)
    } else {
      let former = records.byteCount
      reader.appendRecord(to: records)
      openByteCount += records.byteCount - former
      if let text = reader.importedSequenceNumber {
        open[shard]?.numbers.append(ImportedNumber(index: reader.index, text: text))
      }
    }
    if openByteCount > Self.openByteLimit { closeAll() }
  }

  /// What takes the record that was read last.
  private mutating func taker(of shard: ShardNumber) -> PackedRecords {
    if let open = open[shard] {
      if open.records.takes(reader.index, arrival: reader.arrival) { return open.records }
      close(open)
    }
    let records: PackedRecords
    if let old = spare.popLast() {
      old.reuse(for: shard, first: reader.index, firstArrival: reader.arrival)
      records = old
    } else {
      records = PackedRecords(shard: shard, first: reader.index, firstArrival: reader.arrival)
    }
    open[shard] = Open(records: records)
    return records
  }

  private mutating func close(_ piece: Open) {
    openByteCount -= piece.records.byteCount
    piece.records.fit()
    ready.append(.records(piece.records, numbers: piece.numbers))
  }

  private mutating func closeAll() {
    guard !open.isEmpty else { return }
    reader.forgetTakers()
    for shard in open.keys.sorted() { if let piece = open[shard] { close(piece) } }
    open.removeAll(keepingCapacity: true)
  }
}
