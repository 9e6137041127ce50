import ShardCore
import StreamModel
import StreamStore

/// Reads of a lane that takes only some of its shard's records.
///
/// Blocks are read as they are and judged record by record; what is taken is copied together, so that a batch is as
/// dense in memory as any other. A read goes on until the batch is full, the shard ends, or it has looked at
/// `scanByteLimit`: a lane that takes one record of a million gives others their turn.
extension LaneReader {
  /// What one read looks at, at most.
  static let scanByteLimit = 4 << 20

  func readSelected(
    _ shard: ShardAddress, _ request: ReadRequest, selecting selection: inout any RecordSelecting,
    into buffer: inout LaneBuffer, scanByteLimit: Int = Self.scanByteLimit, takingAtMost takeLimit: Int = .max
  ) -> ReadAnswer {
    let isForDelivery = request.purpose == .deliver
    if isForDelivery, let answer = answerFromBuffer(request, &buffer) { return answer }
    var scan = ShardScan(from: request.from, recycling: isForDelivery ? buffer.takeRun() : nil)
    scan.takeLimit = takeLimit
    while scan.byteCount < scanByteLimit {
      do {
        let read = try log.read(
          shard, from: scan.end, countLimit: 1, payloadByteLimit: 1, recordOverheadBytes: recordOverhead,
          expiredBefore: nil, cut: .none, readAheadBytes: readAhead.bytesPerLane, recycling: buffer.takeRaw())
        switch read {
        case .caughtUp:
          return found(by: scan, request, &buffer) ?? .caughtUp
        case .shardEnd(let end):
          return found(by: scan, request, &buffer) ?? .shardEnd(end: end)
        case .records(let read):
          let goesOn = scan.take(read.run, through: request.last, &selection, counting: &buffer)
          buffer.raw = read.run
          if !goesOn || measure(scan.builder.taken, from: 0, request).isFull {
            return found(by: scan, request, &buffer) ?? .unavailable
          }
        }
      } catch {
        // What stands before a damaged block is delivered first.
        return found(by: scan, request, &buffer) ?? answer(to: error, shard)
      }
    }
    return found(by: scan, request, &buffer) ?? .unavailable
  }

  /// A full batch out of what was read before; `nil` if there is not enough of it.
  private func answerFromBuffer(_ request: ReadRequest, _ buffer: inout LaneBuffer) -> ReadAnswer? {
    guard request.through == nil, let run = buffer.run, buffer.scanned.contains(request.from) else { return nil }
    let start = run.position(atOrAfter: request.from)
    let batch = measure(run, from: start, request)
    guard batch.isFull else { return nil }
    buffer.range = start..<(start + batch.count)
    return .records(
      ReadResult(batch, of: run, from: start, begin: request.from, scannedEnd: buffer.scanned.upperBound))
  }

  func measure(_ run: RecordRun, from position: Int, _ request: ReadRequest) -> BatchMeasure {
    BatchMeasure.measure(
      run, from: position, countLimit: request.countLimit, payloadByteLimit: request.payloadByteLimit,
      recordOverheadBytes: recordOverhead, expiredBefore: request.expiredBefore, cut: request.cut,
      lineageLimit: request.lineageLimit)
  }

  /// What the scan found; `nil` if there was nothing to look at.
  private func found(
    by scan: borrowing ShardScan, _ request: ReadRequest, _ buffer: inout LaneBuffer
  ) -> ReadAnswer? {
    guard let begin = scan.begin else { return nil }
    let run = scan.builder.taken
    guard run.count > 0 else { return .nothingSelected(begin: begin, end: max(begin, scan.end)) }
    let batch = measure(run, from: 0, request)
    var result = ReadResult(batch, of: run, from: 0, begin: begin, scannedEnd: scan.end)
    if scan.isEnded { result.isFull = true }
    if request.purpose == .deliver {
      buffer.run = run
      buffer.range = 0..<batch.count
      buffer.scanned = begin..<scan.end
    }
    return .records(result)
  }
}

/// A walk through a shard that picks records.
private struct ShardScan: ~Copyable {
  var builder: RecordRunBuilder
  /// Where it began; `nil` before the first block.
  private(set) var begin: RecordIndex?
  /// The index behind the last record that was looked at.
  private(set) var end: RecordIndex
  private(set) var byteCount = 0
  /// Of the keys of the records of one run.
  private var keyHashes: [UInt64] = []
  /// So many records are taken at most.
  var takeLimit = Int.max
  /// A record ended the batch that would have been in it.
  private(set) var isEnded = false

  init(from: RecordIndex, recycling old: consuming RecordRun?) {
    builder = RecordRunBuilder(recycling: old, firstIndex: from)
    end = from
  }

  /// Judges the records of a run. `false` if the walk is over: it has come to `through`, or retention has made a gap.
  mutating func take(
    _ run: RecordRun, through: RecordIndex?, _ selection: inout any RecordSelecting, counting buffer: inout LaneBuffer
  ) -> Bool {
    if begin == nil {
      begin = run.firstIndex
      end = run.firstIndex
    }
    guard run.firstIndex == end else { return false }
    byteCount += run.packedByteCount
    let limit = through.map { run.position(atOrAfter: $0.advanced(by: 1)) } ?? run.count
    let isTaken: Bool
    if let share = selection.keyShare, share.isWhole {
      isTaken = take(share, of: run, before: limit, counting: &buffer)
    } else {
      isTaken = take(run, before: limit, &selection, counting: &buffer)
    }
    return isTaken && limit == run.count
  }

  /// Judges each record.
  private mutating func take(
    _ run: RecordRun, before limit: Int, _ selection: inout any RecordSelecting, counting buffer: inout LaneBuffer
  ) -> Bool {
    let share = selection.keyShare
    let batch = RecordBatch(origin: buffer.origin, run: run, range: 0..<run.count)
    for position in 0..<limit {
      let index = run.index(at: position)
      if builder.count >= takeLimit { return false }
      if let share, !share.takes(position, of: run) {
        buffer.count(.anotherLane, at: index)
      } else {
        let verdict = selection.verdict(on: batch[position])
        if verdict == .endsBatch {
          isEnded = true
          return false
        }
        if verdict.isTaken, !builder.append(recordsAt: position..<position + 1, of: run) { return false }
        if buffer.exampleRoom.takes(verdict) { buffer.keepExample(batch[position], verdict, at: index) }
        buffer.count(verdict, at: index)
      }
      end = index.advanced(by: 1)
    }
    return true
  }

  /// Takes the records of a share of the keys. Neighbours are taken together.
  private mutating func take(
    _ share: KeyShare, of run: RecordRun, before limit: Int, counting buffer: inout LaneBuffer
  ) -> Bool {
    var taken = 0
    var start = 0
    var position = 0
    let countedBefore = run.position(atOrAfter: buffer.countedEnd)
    run.partitionKeyHashes(into: &keyHashes)
    let first = run.firstIndex
    let isSparse = run.isSparse
    while position < limit {
      let index = isSparse ? run.index(at: position) : first.advanced(by: position)
      if share.sharing.takes(index, keyHash: keyHashes[position], slot: share.slot) {
        if position >= countedBefore { taken += 1 }
      } else {
        guard builder.append(recordsAt: start..<position, of: run) else { return false }
        start = position + 1
      }
      position += 1
    }
    guard builder.append(recordsAt: start..<limit, of: run) else { return false }
    if limit > 0 {
      end = run.index(at: limit - 1).advanced(by: 1)
      buffer.countedEnd = max(buffer.countedEnd, end)
      buffer.counts.polled += taken
    }
    return true
  }
}

extension KeyShare {
  @inline(__always)
  fileprivate func takes(_ position: Int, of run: RecordRun) -> Bool {
    sharing.takes(run.index(at: position), keyHash: run.partitionKeyHash(at: position), slot: slot)
  }
}

extension LaneBuffer {
  /// Keeps a record that the filter could not judge, unless it was counted before or there are enough from this read.
  fileprivate mutating func keepExample(
    _ record: borrowing RecordView, _ verdict: SelectionVerdict, at index: RecordIndex
  ) {
    guard index >= countedEnd, examples.count < 2 * FilterExamples.limit, let reason = verdict.doubt else { return }
    examples.append((FilterExample(record, because: reason), verdict))
  }

  /// Counts a record once, however often it is read.
  fileprivate mutating func count(_ verdict: SelectionVerdict, at index: RecordIndex) {
    guard index >= countedEnd else { return }
    countedEnd = index.advanced(by: 1)
    switch verdict {
    case .anotherLane, .endsBatch: return
    case .taken: break
    case .done: counts.done += 1
    case .undecided: counts.undecided += 1
    case .filteredOut: counts.filteredOut += 1
    case .notJSON:
      counts.filteredOut += 1
      counts.notJSON += 1
    }
    counts.polled += 1
  }
}

extension ReadResult {
  init(
    _ batch: BatchMeasure, of run: RecordRun, from start: Int, begin: RecordIndex, scannedEnd: RecordIndex
  ) {
    let next = start + batch.count
    self.init(
      extent: BatchExtent(
        first: run.index(at: start), last: run.index(at: next - 1), count: batch.count,
        firstArrival: batch.firstArrival, lastArrival: batch.lastArrival, payloadBytes: batch.payloadBytes),
      begin: begin, scannedEnd: next < run.count ? run.index(at: next) : scannedEnd, isFull: batch.isFull,
      expiredCount: batch.expiredCount, lastExpired: run.index(at: start + max(0, batch.expiredCount - 1)),
      lastExpiredArrival: batch.lastExpiredArrival)
    lineage = batch.lineage
  }
}
