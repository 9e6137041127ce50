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
    if request.purpose == .deliver, request.through == nil, let run = buffer.run,
      let (start, batch) = cut(run, request)
    {
      buffer.range = start..<(start + batch.count)
      return .records(ReadResult(batch, first: request.from))
    }
    var countLimit = request.countLimit
    if let through = request.through {
      let wanted = request.from > through ? 0 : request.from.distance(to: through) + 1
      countLimit = Int(min(UInt64(countLimit), max(1, wanted)))
    }
    do {
      let isForDelivery = request.purpose == .deliver
      let read = try log.read(
        shard, from: request.from, countLimit: countLimit,
        payloadByteLimit: request.payloadByteLimit,
        recordOverheadBytes: recordOverhead, expiredBefore: request.expiredBefore, cut: request.cut,
        readAheadBytes: isForDelivery ? readAhead.bytesPerLane : 0,
        recycling: isForDelivery ? buffer.takeRun() : nil)
      switch read {
      case .caughtUp: return .caughtUp
      case .shardEnd(let end): return .shardEnd(end: end)
      case .records(var found):
        if request.lineageLimit != nil, found.run.mayHaveLineage { found.batch = measure(found.run, from: 0, request) }
        if let through = request.through, found.run.firstIndex > through {
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
