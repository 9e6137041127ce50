import Recordings
import StreamModel
import StreamRuntime
import StreamStore

/// The records of a recording that the lanes of a replay have not passed yet, in memory.
///
/// What every lane of a shard has passed is given up with the next records of the shard.
final class RecordingLog: RecordLog, @unchecked Sendable {
  // Unchecked because of the variables: the task of the replay alone feeds and reads it.
  private var shards: [ShardNumber: Shard] = [:]
  /// Bytes of records that are kept.
  private(set) var byteCount = 0 {
    didSet { greatestByteCount = max(greatestByteCount, byteCount) }
  }
  private(set) var greatestByteCount = 0
  /// Pieces that were given up, whose memory is used again.
  private var spare: [PackedRecords] = []
  private static let spareLimit = 64
  /// What lanes gave to read into while they were held: one run of each at most.
  private var spareRuns: [RecordRun] = []

  /// Shards whose lanes want more while so much waits for the others that those go first.
  private var held: Set<ShardNumber> = []
  /// Shards whose lanes may bring more, whatever waits.
  private var favored: Set<ShardNumber> = []
  /// So many bytes may wait before lanes are held, besides a piece of each shard; `nil`: none is.
  private let holdingByteLimit: Int?

  /// Brings more of the recording, if there is more: for lanes that find everything there from the beginning.
  var bringMore: (() -> Bool)?
  /// Takes pieces whose records nobody uses any more, if they came in pieces.
  var reuse: ((PackedRecords) -> Void)?

  fileprivate struct Shard {
    var pieces: [PackedRecords] = []
    /// The pieces before this one are given up.
    var head = 0
    var end: RecordIndex?
  }

  init(holdingByteLimit: Int? = nil) { self.holdingByteLimit = holdingByteLimit }

  var isHolding: Bool { !held.isEmpty }

  /// Lets on those that were held, in order.
  func letOn() -> [ShardNumber] {
    favored = held
    held = []
    return favored.sorted()
  }

  func open(_ shard: ShardNumber) { shards[shard] = Shard() }

  /// Takes the record that the reader has just read.
  func append(from reader: borrowing RecordingReader) {
    let piece = piece(for: reader)
    let former = piece.byteCount
    reader.appendRecord(to: piece)
    byteCount += piece.byteCount - former
  }

  /// Takes records that follow those before them in their shard. Nothing is appended to them any more.
  func append(_ records: PackedRecords) {
    shards[records.shard]?.pieces.append(records)
    byteCount += records.byteCount
  }

  /// The piece that takes the record that the reader has just read.
  private func piece(for reader: borrowing RecordingReader) -> PackedRecords {
    let number = reader.shard
    if let last = shards[number]?.pieces.last, last.takes(reader.index, arrival: reader.arrival) { return last }
    let piece: PackedRecords
    if let old = spare.popLast() {
      old.reuse(for: number, first: reader.index, firstArrival: reader.arrival)
      piece = old
    } else {
      piece = PackedRecords(shard: number, first: reader.index, firstArrival: reader.arrival)
    }
    shards[number]?.pieces.append(piece)
    return piece
  }

  func close(_ shard: ShardNumber, end: RecordIndex) { shards[shard]?.end = end }

  /// No lane of the shard asks for records before this one any more.
  func pass(_ shard: ShardNumber, before index: RecordIndex) {
    guard var known = shards.removeValue(forKey: shard) else { return }
    while known.head + 1 < known.pieces.count, known.pieces[known.head].end <= index {
      let piece = known.pieces[known.head]
      byteCount -= piece.byteCount
      // What lanes read is a copy: nobody looks into it any more.
      if let reuse {
        reuse(piece)
      } else if spare.count < Self.spareLimit, !piece.isLarge {
        spare.append(piece)
      }
      known.head += 1
    }
    if known.head > 32, known.head * 2 > known.pieces.count {
      known.pieces.removeFirst(known.head)
      known.head = 0
    }
    shards[shard] = known
  }

  // MARK: Reading

  func read(
    _ address: ShardAddress, from: RecordIndex, countLimit: Int, payloadByteLimit: Int,
    recordOverheadBytes: RecordSizing, expiredBefore: WallTime?, cut: WindowCut,
    readAheadBytes: Int,
    recycling: consuming RecordRun?
  ) throws(StoreError) -> ShardRead {
    var memory = recycling
    while !hasEnough(address.shard, from, countLimit, payloadByteLimit) {
      if let holdingByteLimit, byteCount > holdingByteLimit + shards.count * PackedRecords.byteLimit,
        !favored.contains(address.shard)
      {
        // Nothing yet, and not the few that there are: batches are the same however much waits.
        held.insert(address.shard)
        if let memory { spareRuns.append(memory) }
        return .caughtUp
      }
      guard bringMore?() ?? false else { break }
    }
    favored.remove(address.shard)
    guard let shard = shards[address.shard] else { throw .noSuchShard(address) }
    if memory == nil { memory = spareRuns.popLast() }
    var builder = RecordRunBuilder(recycling: memory.take(), firstIndex: from)
    for place in shard.place(of: from)..<shard.pieces.count {
      let piece = shard.pieces[place]
      guard piece.end > from else { continue }
      let isSatisfied = builder.count >= countLimit || builder.byteCount >= payloadByteLimit
      if isSatisfied, builder.byteCount + piece.byteCount > readAheadBytes { break }
      // A gap: what is missing is passed over when the lane comes to it.
      if builder.count > 0, builder.taken.endIndex != piece.first { break }
      builder.append(piece, from: from)
    }
    guard builder.count > 0 else { return shard.end.map { .shardEnd(end: $0) } ?? .caughtUp }
    let run = builder.finish()
    return .records(
      RecordsRead(
        run: run,
        batch: BatchMeasure.measure(
          run, from: 0, countLimit: countLimit, payloadByteLimit: payloadByteLimit,
          recordOverheadBytes: recordOverheadBytes, expiredBefore: expiredBefore, cut: cut)))
  }

  func read(
    _ address: ShardAddress, at ranges: [RecordRange], scanByteLimit: Int,
    recycling: consuming RecordRun?
  ) throws(StoreError) -> RangesRead {
    guard let shard = shards[address.shard], let first = ranges.first else {
      throw .noSuchShard(address)
    }
    var builder = RecordRunBuilder(recycling: recycling, firstIndex: first.first)
    for range in ranges {
      for place in shard.place(of: range.first)..<shard.pieces.count {
        guard shard.pieces[place].first < range.end else { break }
        builder.append(shard.pieces[place], from: range.first, before: range.end)
      }
    }
    let run = builder.finish()
    return RangesRead(
      run: run, begin: run.count > 0 ? run.firstIndex : ranges[ranges.count - 1].end)
  }

  private func hasEnough(_ number: ShardNumber, _ from: RecordIndex, _ count: Int, _ bytes: Int)
    -> Bool
  {
    guard bringMore != nil, let shard = shards[number] else { return true }
    guard let last = shard.pieces.last, last.end > from else { return shard.end != nil }
    return from.distance(to: last.end) >= UInt64(count) || shard.end != nil
      || shard.pieces[shard.place(of: from)...].reduce(0) { $0 + $1.byteCount } >= 2 * bytes
  }
}

extension RecordingLog.Shard {
  /// The first piece that holds the record or one behind it.
  fileprivate func place(of index: RecordIndex) -> Int {
    var (low, high) = (head, pieces.count)
    while low < high {
      let middle = (low + high) / 2
      if pieces[middle].end <= index { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

extension RecordRunBuilder {
  /// Copies the records of a piece from one on, and before another.
  fileprivate mutating func append(
    _ piece: PackedRecords, from index: RecordIndex, before end: RecordIndex = RecordIndex(.max)
  ) {
    let first = max(index, piece.first)
    let last = min(end, piece.end)
    guard first < last else { return }
    let isWhole = unsafe append(
      packed: UnsafeRawBufferPointer(rebasing: piece.bytes[piece.offset(of: first)..<piece.offset(of: last)]),
      recordCount: Int(first.distance(to: last)), firstArrival: piece.firstArrival, at: first)
    precondition(isWhole, "packed records are well-formed")
  }
}
