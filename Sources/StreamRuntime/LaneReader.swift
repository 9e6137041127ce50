import Logging
import ShardCore
import StreamModel
import StreamStore

/// Reads what lanes ask for, whatever their records stand in.
struct LaneReader: Sendable {
  let log: any RecordLog
  /// How large a record is in the encoded event.
  let recordOverhead: RecordSizing
  /// Records beyond the batch that a read brings along: a busy lane then cuts some batches out of memory.
  let readAhead: ReadAheadBudget
  let clock: @Sendable () -> Now
  let logger: Logger

  func read(_ shard: ShardAddress, _ request: ReadRequest, into buffer: inout LaneBuffer)
    -> ReadAnswer
  {
    buffer.forgetPicked()
    if !request.ranges.isEmpty { return readParked(shard, request, into: &buffer) }
    if let view = buffer.view { return readUnsettled(shard, request, view, into: &buffer) }
    if let parking = request.parking { return readByKey(shard, request, parking, into: &buffer) }
    return readOwn(shard, request, into: &buffer)
  }

  /// Of all the lane's records.
  func readOwn(_ shard: ShardAddress, _ request: ReadRequest, into buffer: inout LaneBuffer)
    -> ReadAnswer
  {
    if var selection = buffer.selection.take() {
      defer { buffer.selection = selection }
      return readSelected(shard, request, selecting: &selection, into: &buffer)
    }
    let request = request.withCountToLast
    if request.purpose == .deliver, request.through == nil, let run = buffer.run,
      let (start, batch) = cut(run, request)
    {
      buffer.range = start..<(start + batch.count)
      return .records(ReadResult(batch, first: request.from))
    }
    do {
      let isForDelivery = request.purpose == .deliver
      let read = try log.read(
        shard, from: request.from, countLimit: request.countLimit,
        payloadByteLimit: request.payloadByteLimit,
        recordOverheadBytes: recordOverhead, expiredBefore: request.expiredBefore, cut: request.cut,
        readAheadBytes: isForDelivery ? readAhead.bytesPerLane : 0,
        recycling: isForDelivery ? buffer.takeRun() : nil)
      switch read {
      case .caughtUp: return .caughtUp
      case .shardEnd(let end): return .shardEnd(end: end)
      case .records(var found):
        if request.lineageLimit != nil, found.run.mayHaveLineage { found.batch = measure(found.run, from: 0, request) }
        if let last = request.last, found.run.firstIndex > last {
          return .nothingSelected(begin: found.run.firstIndex, end: found.run.firstIndex)
        }
        if isForDelivery {
          buffer.run = found.run
          buffer.range = 0..<found.batch.count
        }
        return .records(ReadResult(found.batch, first: found.run.firstIndex))
      }
    } catch {
      return answer(to: error, shard)
    }
  }

  /// A full batch out of what was read ahead; `nil` if there is not enough of it.
  private func cut(_ run: RecordRun, _ request: ReadRequest) -> (Int, BatchMeasure)? {
    guard request.from >= run.firstIndex, request.from < run.endIndex else { return nil }
    let start = Int(run.firstIndex.distance(to: request.from))
    let batch = BatchMeasure.measure(
      run, from: start, countLimit: request.countLimit, payloadByteLimit: request.payloadByteLimit,
      recordOverheadBytes: recordOverhead, expiredBefore: request.expiredBefore, cut: request.cut,
      lineageLimit: request.lineageLimit)
    return batch.isFull ? (start, batch) : nil
  }

  func answer(to error: StoreError, _ shard: ShardAddress) -> ReadAnswer {
    if case .corruptedBlock(_, let first) = error {
      logger.critical("\(error)", metadata: ["shard": "\(shard.shard)"])
      return .corrupted(block: first)
    }
    logger.error(
      "the store could not be read", metadata: ["shard": "\(shard.shard)", "error": "\(error)"])
    return .unavailable
  }
}

extension ReadRequest {
  /// The same, for no more records than there are up to the last one that may be read.
  fileprivate var withCountToLast: ReadRequest {
    guard let last else { return self }
    var request = self
    let wanted = from > last ? 0 : from.distance(to: last) + 1
    request.countLimit = Int(min(UInt64(countLimit), max(1, wanted)))
    return request
  }
}

extension ReadResult {
  fileprivate init(_ batch: BatchMeasure, first: RecordIndex) {
    self.init(
      extent: BatchExtent(
        first: first, count: batch.count, firstArrival: batch.firstArrival,
        lastArrival: batch.lastArrival,
        payloadBytes: batch.payloadBytes),
      isFull: batch.isFull, expiredCount: batch.expiredCount,
      lastExpiredArrival: batch.lastExpiredArrival)
    lineage = batch.lineage
  }
}
