public import StreamModel

/// Why a mapping cannot run.
public enum PollerError: Error, Hashable, Sendable, CustomStringConvertible {
  case noSuchStream(mapping: String, stream: String)
  case mappingMoved(mapping: String, from: StreamNumber)
  case unreadableLane(mapping: String, shard: ShardNumber, LaneRecordError)
  case notRunning(mapping: String)
  /// Lanes change while keys are parked in them.
  case keysAreParked(mapping: String, shard: ShardNumber, factor: Int)
  case draining
  /// A transactional handler and blocking by key.
  case writesWithParking(mapping: String)
  /// A handler that writes to tables, in tumbling windows.
  case writesWithWindows(mapping: String)
  /// A handler that writes to tables, and an idempotency store.
  case writesWithIdempotency(mapping: String)
  /// An idempotency store, and blocking by key or tumbling windows.
  case idempotencyAlone(mapping: String)
  /// A shadow, and a handler that writes to tables, an idempotency store, blocking by key or tumbling windows.
  case shadowMovesNothing(mapping: String)
  /// A handler that writes to tables in the place of one that does not, or the other way round.
  case writesChanged(mapping: String)

  public var description: String {
    switch self {
    case .noSuchStream(let mapping, let stream):
      "mapping \(mapping) reads stream \(stream), which does not exist: create it first"
    case .mappingMoved(let mapping, _):
      "mapping \(mapping) was made for another stream: give the mapping of this stream a name of its own"
    case .unreadableLane(let mapping, let shard, let error):
      "the progress of mapping \(mapping) on \(shard) cannot be read (\(error)): it was written by another version"
    case .notRunning(let mapping):
      "mapping \(mapping) does not run here"
    case .keysAreParked(let mapping, let shard, let factor):
      "mapping \(mapping) has parked keys on \(shard): ParallelizationFactor stays \(factor) until they are settled or "
        + "skipped"
    case .writesChanged(let mapping):
      "the handler of mapping \(mapping) cannot begin or end to write to tables while it runs"
    case .writesWithIdempotency(let mapping):
      "mapping \(mapping) has an idempotency store, and its handler writes to tables, which is exact without one"
    case .idempotencyAlone(let mapping):
      "mapping \(mapping) has an idempotency store: it must block by shard and have no tumbling windows"
    case .shadowMovesNothing(let mapping):
      "mapping \(mapping) is a shadow, whose outcome moves nothing: it goes with no handler that writes to tables, no "
        + "idempotency store, no blocking by key and no tumbling windows"
    case .writesWithWindows(let mapping):
      "mapping \(mapping) has tumbling windows, and its handler writes to tables: the state of a window takes their place"
    case .writesWithParking(let mapping):
      "mapping \(mapping) blocks by key, and its handler writes to tables: these writes go with a checkpoint, and records "
        + "of a blocked key are settled without one"
    case .draining:
      "the poller drains: no mapping can be added"
    }
  }
}
