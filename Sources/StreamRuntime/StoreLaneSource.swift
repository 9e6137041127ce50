import Logging
import ShardCore
import StreamModel
import StreamStore

/// The store as the source of one mapping's lanes.
struct StoreLaneSource: LaneSource {
  let store: StreamStore
  let mapping: MappingInfo
  let stream: StreamInfo
  /// What one record adds to the encoded event, beyond its data in base64 and its key.
  let recordOverhead: Int
  let logger: Logger

  /// Blocks beyond the batch that a read brings along: a busy lane then reads memory, not the store, for some batches.
  private static let readAheadBytes = 1 << 20

  func read(_ shard: ShardAddress, _ request: ReadRequest, into buffer: inout LaneBuffer) -> ReadAnswer {
    if request.purpose == .deliver, let run = buffer.run,
      let answer = measure(run, request), answer.isFull
    {
      return take(answer, of: run, into: &buffer)
    }
    do {
      let old = request.purpose == .deliver ? buffer.takeRun() : nil
      let read = try store.read(
        shard, from: request.from, countLimit: request.countLimit, payloadByteLimit: request.payloadByteLimit,
        expiredBefore: request.expiredBefore, recordOverhead: recordOverhead,
        readAheadBytes: request.purpose == .deliver ? Self.readAheadBytes : 0, recycling: old)
      switch read {
      case .caughtUp: return .caughtUp
      case .shardEnd(let end): return .shardEnd(end: end)
      case .records(let run, let measured):
        guard request.purpose == .deliver else { return .records(result(measured)) }
        return take(measured, of: run, into: &buffer)
      }
    } catch .corruptedBlock(_, let first) {
      logger.critical("damaged block", metadata: ["shard": "\(shard.shard)", "first": "\(first.rawValue)"])
      return .corrupted(block: first)
    } catch {
      logger.error("the store could not be read", metadata: ["shard": "\(shard.shard)", "error": "\(error)"])
      return .unavailable
    }
  }
}
