import ShardCore
import StreamModel
import StreamStore

/// What the lanes of a replay read from. Nothing is stored anywhere.
struct ReplaySource: LaneSource {
  let reader: LaneReader

  func read(_ shard: ShardAddress, _ request: ReadRequest, into buffer: inout LaneBuffer)
    -> ReadAnswer
  {
    reader.read(shard, request, into: &buffer)
  }

  func records(ofFailureEntry entry: UInt64) throws -> RecordRun? { nil }

  var tables: any TableReading { NoTables() }

  func store(
    _ progress: LaneProgress, history: AttemptHistory, parked: [PartitionKeyHash: AttemptHistory],
    effects: LaneEffects, of lane: LanePlace, stored: @escaping @Sendable (Bool) -> Void
  ) { stored(true) }

  func store(
    _ failure: FailureOrder, history: AttemptHistory, events: [RecordEvent], done: [RecordIndex],
    of lane: LanePlace,
    stored: @escaping @Sendable (UInt64?) -> Void
  ) { stored(0) }

  func settleRedrive(of entry: UInt64, _ outcome: RedriveSettling) {}
}
