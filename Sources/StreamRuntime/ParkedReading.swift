import ShardCore
import StreamModel
import StreamStore

/// Reads of a lane that blocks by key: its own batches without the records of parked keys, and those records by number.
///
/// What is read ahead holds the records of all keys. They are told apart when a batch is cut out of it, without a copy: so
/// a key that is parked, or is not any more, costs no read.
extension LaneReader {
  func readByKey(
    _ shard: ShardAddress, _ request: ReadRequest, _ parking: ReadRequest.Parking, into buffer: inout LaneBuffer
  ) -> ReadAnswer {
    var answer: ReadAnswer
    if parking.keys.isEmpty {
      buffer.recordsForBatch = 0
      answer = readOwn(shard, request, into: &buffer)
    } else {
      answer = readUnparked(shard, request, parking, into: &buffer)
    }
    if case .records(var result) = answer, request.purpose == .deliver, let run = buffer.picked ?? buffer.run {
      result.firstKey = PartitionKeyHash(run.partitionKeyHash(at: buffer.range.lowerBound))
      answer = .records(result)
    }
    return answer
  }

  /// Records of parked keys that one read meets, at most.
  static let parkedLimit = 16_384

  /// Out of what was read ahead, or else out of a read that is made larger until the batch is full, or as large as a read
  /// may be.
  private func readUnparked(
    _ shard: ShardAddress, _ request: ReadRequest, _ parking: ReadRequest.Parking, into buffer: inout LaneBuffer
  ) -> ReadAnswer {
    if let ahead = buffer.readAhead, ahead.contains(request.from) {
      let own = OwnRecords(begin: request.from, end: ahead.upperBound, isAll: false)
      if case .answer(let answer) = pick(own, request, parking, &buffer) { return answer }
      buffer.forgetPicked()
    }
    var all = request
    all.purpose = .deliver
    all.cut = .none
    all.lineageLimit = nil
    all.expiredBefore = nil
    // Where a selection chooses, a read has a limit of its own.
    all.payloadByteLimit = buffer.selection == nil ? max(Self.scanByteLimit, request.payloadByteLimit) : .max
    all.countLimit = min(max(request.countLimit, buffer.recordsForBatch), request.countLimit * 16)
    var formerEnd: RecordIndex?
    while true {
      let answer = readOwn(shard, all, into: &buffer)
      guard case .records(let result) = answer, let run = buffer.run else { return answer }
      let end = buffer.readAhead?.upperBound ?? run.endIndex
      let isAll = !result.isFull || run.packedByteCount >= Self.scanByteLimit || end == formerEnd
      formerEnd = end
      switch pick(OwnRecords(begin: result.begin, end: end, isAll: isAll), request, parking, &buffer) {
      case .answer(let answer): return answer
      case .more(let taken, let looked):
        buffer.forgetPicked()
        // As many more as it takes if it goes on like this, and some.
        let (expected, overflow) = looked.multipliedReportingOverflow(by: request.countLimit)
        all.countLimit = max(all.countLimit * 2, overflow ? 0 : expected / max(1, taken) * 5 / 4)
        buffer.recordsForBatch = all.countLimit
      }
    }
  }

  /// The lane's own records in the buffer's run, from `begin` on.
  private struct OwnRecords {
    var begin: RecordIndex
    /// The index behind the last one that was looked at.
    var end: RecordIndex
    /// Whether a larger read would not find more.
    var isAll: Bool
  }

  private enum Picking {
    case answer(ReadAnswer)
    /// The batch is not full, and there may be more: so many of those looked at are not parked.
    case more(taken: Int, looked: Int)
  }

  /// Cuts a batch without the records of parked keys.
  private func pick(
    _ own: OwnRecords, _ request: ReadRequest, _ parking: ReadRequest.Parking, _ buffer: inout LaneBuffer
  ) -> Picking {
    guard let run = buffer.run else { preconditionFailure("records are picked of those that were read") }
    let limit = min(parking.limit, Self.parkedLimit)
    let begin = run.position(atOrAfter: own.begin)
    let end = request.last.map { run.position(atOrAfter: $0.advanced(by: 1)) } ?? run.count
    var picker = RecordPicker(recycling: buffer.pickedMemory.take(), from: run, countLimit: request.countLimit)
    let keys = parking.keys
    var parked: [ParkedRecord] = []
    parked.reserveCapacity(min(limit, buffer.parkedOfBatch))
    var parkingIsFull = false
    var position = begin
    // Neighbours are taken together.
    var start = position
    var room = request.countLimit
    while position < end, position - start < room {
      position = buffer.keyHashes.firstPosition(of: keys, in: position..<min(end, start + room), of: run)
      guard position < end, position - start < room else { break }
      guard parked.count < limit else {
        parkingIsFull = true
        break
      }
      parked.append(ParkedRecord(key: buffer.keyHashes[position], index: run.index(at: position)))
      picker.pick(start..<position)
      room -= position - start
      start = position + 1
      position = start
    }
    picker.pick(start..<position)
    let picked = picker.finish()
    buffer.picked = picked
    let scannedEnd = position < run.count ? run.index(at: position) : own.end
    let isEverything = own.isAll || parkingIsFull || request.last.map { own.end > $0 } ?? false
    guard picked.count > 0 else {
      guard parked.isEmpty else {
        buffer.count(own.begin, to: scannedEnd, request)
        return .answer(.onlyParked(begin: own.begin, end: max(own.begin, scannedEnd), parked))
      }
      if parkingIsFull { return .answer(.parkingFull(begin: own.begin)) }
      guard isEverything else { return .more(taken: 0, looked: position - begin) }
      return .answer(.nothingSelected(begin: own.begin, end: max(own.begin, scannedEnd)))
    }
    let batch = measure(picked, from: 0, request)
    guard batch.isFull || isEverything else { return .more(taken: picked.count, looked: position - begin) }
    var result = ReadResult(batch, of: picked, from: 0, begin: own.begin, scannedEnd: scannedEnd)
    if parkingIsFull { result.isFull = true }
    while let last = parked.last, last.index > result.extent.last { parked.removeLast() }
    result.parked = parked
    buffer.parkedOfBatch = parked.count + parked.count / 2
    buffer.range = 0..<batch.count
    buffer.count(own.begin, to: result.extent.end, request)
    return .answer(.records(result))
  }

  /// Parked records, by their numbers. What stands before a damaged block is given first.
  func readParked(_ shard: ShardAddress, _ request: ReadRequest, into buffer: inout LaneBuffer) -> ReadAnswer {
    let read: RangesRead
    do {
      read = try log.read(
        shard, at: request.ranges, scanByteLimit: request.isFrozen ? .max : Self.scanByteLimit,
        recycling: buffer.takeRun())
    } catch {
      return answer(to: error, shard)
    }
    guard read.run.count > 0 else { return .nothingSelected(begin: read.begin, end: read.begin) }
    let batch = measure(read.run, from: 0, request)
    buffer.run = read.run
    buffer.range = 0..<batch.count
    buffer.scanned = read.begin..<read.begin
    return .records(ReadResult(batch, of: read.run, from: 0, begin: read.begin, scannedEnd: read.run.endIndex))
  }
}

extension LaneBuffer {
  /// Counts what was looked at for a batch, parked records among it. Where a selection chooses, it has counted.
  fileprivate mutating func count(_ first: RecordIndex, to end: RecordIndex, _ request: ReadRequest) {
    if selection == nil, request.purpose == .deliver { countAll(from: first, to: end) }
  }
}

/// Leaves out the records of parked keys, of those that the lane takes.
struct ParkedSelection: RecordSelecting {
  var own: (any RecordSelecting)?
  let keys: ParkedKeySet

  mutating func verdict(on record: borrowing RecordView) -> SelectionVerdict {
    var taken = SelectionVerdict.taken
    if var selection = own {
      let verdict = selection.verdict(on: record)
      own = selection
      taken = verdict
      if !verdict.isTaken { return verdict }
    }
    return keys.contains(PartitionKeyHash(record.partitionKeyHash)) ? .anotherLane : taken
  }
}
