import Recordings
import StreamModel
import StreamRuntime
import StreamStore

/// The records of a recording that the lanes of a replay have not passed yet, in memory.
///
/// What every lane of a shard has passed is given up. Lanes that want more than there is, while much waits for others, are
/// held: they get nothing, and not the few records that there are, so that batches are the same however much waits. Where
/// nothing else happens they are let on, those first whose records come first: so what waits is what the others need for
/// their next batches, whatever the number of shards. Most of it is compressed, if it is much.
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
  /// What lanes gave to read into while they were held: not more than lanes that had something to read at once.
  private var spareRuns: [RecordRun] = []

  /// What lanes that are held want to read, by shard.
  private var held: [ShardNumber: Want] = [:]
  /// Shards whose lanes were held, and for which there is now what they want.
  private var satisfied: [ShardNumber] = []
  /// So many bytes may wait before lanes are held; `nil`: none is.
  private let holdingByteLimit: Int?
  /// Where more waits than so many times that, what comes for lanes that are held is compressed.
  private static let plainShare = 4
  private lazy var compressor = RecordCompressor()
  private let deliveriesAtOnce: Int
  /// So much may be brought for one that is to be delivered beside others: a batch has fewer bytes. And for all of them.
  private static let deliveryByteLimit = 8 << 20
  private static let deliveriesByteLimit = 256 << 20
  /// There is no more to bring.
  private var isAtEnd = false

  /// Brings more of the recording, if there is more: for lanes that find everything there from the beginning.
  var bringMore: (() -> Bool)?
  /// Takes pieces whose records nobody uses any more, if they came in pieces.
  var reuse: ((PackedRecords) -> Void)?

  fileprivate final class Shard {
    var pieces = KeptPieces()
    var end: RecordIndex?
  }

  /// So many records from one on, or so many bytes of them.
  fileprivate struct Want {
    var from: RecordIndex
    var count: Int
    var byteCount: Int
  }

  init(holdingByteLimit: Int? = nil, deliveriesAtOnce: Int = 1) {
    self.holdingByteLimit = holdingByteLimit
    self.deliveriesAtOnce = deliveriesAtOnce
  }

  var isHolding: Bool { !held.isEmpty || !satisfied.isEmpty }

  /// Lets on those that were held and now find what they want, in order: one at least, as many as there is room for, and as
  /// many as are delivered at once. At the end of the recording the others too, with what there is.
  func letOn() -> [ShardNumber] {
    guard isHolding else { return [] }
    bringWhatLetsOn()
    if isAtEnd { return letOnAtTheEnd() }
    defer { satisfied.removeAll(keepingCapacity: true) }
    return satisfied.sorted()
  }

  private func bringWhatLetsOn() {
    var roomForMore: Int?
    while !isAtEnd {
      if !satisfied.isEmpty, byteCount > byteLimit {
        let room = roomForMore ?? byteCount + min(deliveriesAtOnce * Self.deliveryByteLimit, Self.deliveriesByteLimit)
        roomForMore = room
        if satisfied.count >= deliveriesAtOnce || held.isEmpty || byteCount > room { break }
      }
      bring()
    }
  }

  private func letOnAtTheEnd() -> [ShardNumber] {
    let rest = (satisfied + held.keys).sorted()
    let next = rest.prefix(while: makeRoom(upTo: byteLimit))
    satisfied = Array(rest[next.endIndex...])
    held = [:]
    return Array(next)
  }

  private var byteLimit: Int { holdingByteLimit ?? .max }

  /// Takes shards as long as their records, of which each lane makes a copy, are not too many at once.
  private func makeRoom(upTo limit: Int) -> (ShardNumber) -> Bool {
    var (count, byteCount) = (0, 0)
    return { [shards, deliveriesAtOnce] number in
      guard count < deliveriesAtOnce || byteCount <= limit else { return false }
      count += 1
      byteCount += shards[number]?.pieces.byteCount ?? 0
      return true
    }
  }

  private func bring() { isAtEnd = !(bringMore?() ?? false) }

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
    lookAtWant(of: records.shard)
    if let holdingByteLimit, byteCount > Self.plainShare * holdingByteLimit, held[records.shard] != nil {
      records.compress(with: compressor)
    }
  }

  /// The piece that takes the record that the reader has just read.
  private func piece(for reader: borrowing RecordingReader) -> PackedRecords {
    let shard = shards[reader.shard]
    if let last = shard?.pieces.last, last.takes(reader.index, arrival: reader.arrival) { return last }
    let piece: PackedRecords
    if let old = spare.popLast() {
      old.reuse(for: reader.shard, first: reader.index, firstArrival: reader.arrival)
      piece = old
    } else {
      piece = PackedRecords(shard: reader.shard, first: reader.index, firstArrival: reader.arrival)
    }
    shard?.pieces.append(piece)
    return piece
  }

  func close(_ shard: ShardNumber, end: RecordIndex) {
    shards[shard]?.end = end
    lookAtWant(of: shard)
  }

  /// No lane of the shard asks for records before this one any more.
  func pass(_ shard: ShardNumber, before index: RecordIndex) {
    guard let known = shards[shard] else { return }
    while let piece = known.pieces.popFirst(before: index) {
      byteCount -= piece.byteCount
      // What lanes read is a copy: nobody looks into it any more.
      if let reuse {
        reuse(piece)
      } else if spare.count < Self.spareLimit, !piece.isLarge {
        spare.append(piece)
      }
    }
  }

  // MARK: Reading

  func read(
    _ address: ShardAddress, from: RecordIndex, countLimit: Int, payloadByteLimit: Int,
    recordOverheadBytes: RecordSizing, expiredBefore: WallTime?, cut: WindowCut,
    readAheadBytes: Int,
    recycling: consuming RecordRun?
  ) throws(StoreError) -> ShardRead {
    guard let shard = shards[address.shard] else { throw .noSuchShard(address) }
    var memory = recycling
    let want = Want(from: from, count: countLimit, byteCount: 2 * payloadByteLimit)
    while bringMore != nil, !isAtEnd, !shard.has(want) {
      if let holdingByteLimit, byteCount > holdingByteLimit {
        held[address.shard] = want
        if let memory { spareRuns.append(memory) }
        return .caughtUp
      }
      bring()
    }
    if memory == nil { memory = spareRuns.popLast() }
    var builder = RecordRunBuilder(recycling: memory.take(), firstIndex: from)
    for piece in shard.pieces.from(from) {
      let isSatisfied = builder.count >= countLimit || builder.byteCount >= payloadByteLimit
      if isSatisfied, builder.byteCount + piece.byteCount > readAheadBytes { break }
      // A gap: what is missing is passed over when the lane comes to it.
      if builder.count > 0, builder.taken.endIndex != piece.first { break }
      if piece.isCompressed { piece.expand(with: compressor) }
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
      for piece in shard.pieces.from(range.first) {
        guard piece.first < range.end else { break }
        if piece.isCompressed { piece.expand(with: compressor) }
        builder.append(piece, from: range.first, before: range.end)
      }
    }
    let run = builder.finish()
    return RangesRead(
      run: run, begin: run.count > 0 ? run.firstIndex : ranges[ranges.count - 1].end)
  }

  /// Something came to the shard: does its lane, if it is held, find what it wants now?
  private func lookAtWant(of number: ShardNumber) {
    guard let want = held[number], shards[number]?.has(want) ?? false else { return }
    held[number] = nil
    satisfied.append(number)
  }
}

extension RecordingLog.Shard {
  /// Whether there is as much as that, or all that the shard will ever have.
  fileprivate func has(_ want: RecordingLog.Want) -> Bool {
    guard end == nil else { return true }
    guard let last = pieces.last, last.end > want.from else { return false }
    return want.from.distance(to: last.end) >= UInt64(want.count)
      || pieces.from(want.from).reduce(0) { $0 + $1.byteCount } >= want.byteCount
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
