public import ShardCore
public import StreamModel
public import StreamStore

/// Where a poller's records come from and where its progress goes: one for each mapping.
///
/// The first implementation is the store; past one machine it is an engine that keeps the records elsewhere. A source
/// does what it is told and decides nothing.
public protocol LaneSource: Sendable {
  /// Answers a read. With `.deliver` the records stay in `buffer` for the delivery that follows. May block for a disk
  /// read, never for a lock that a handler can hold.
  func read(_ shard: ShardAddress, _ request: ReadRequest, into buffer: inout LaneBuffer) -> ReadAnswer

  /// The records of a failure entry, or `nil` if the entry is gone.
  func records(ofFailureEntry entry: UInt64) throws -> RecordRun?

  /// What the mapping's handler wrote, as far as it is durable.
  var tables: any TableReading { get }

  /// Stores the lane's progress with what is known of its failing batch and its parked keys and, in the same transaction,
  /// `effects`. `stored` is called once, from any thread.
  func store(
    _ progress: LaneProgress, history: AttemptHistory, parked: [PartitionKeyHash: AttemptHistory],
    effects: LaneEffects, of lane: LanePlace,
    stored: @escaping @Sendable (Bool) -> Void)

  /// Stores a failure entry with the records of its extent, without those that are `done`, and what is known of their
  /// attempts and besides. `stored` is called once, from any thread, with the number of the entry or `nil` if the store
  /// refused it.
  func store(
    _ failure: FailureOrder, history: AttemptHistory, events: [RecordEvent], done: [RecordIndex], of lane: LanePlace,
    stored: @escaping @Sendable (UInt64?) -> Void)

  /// Takes a redriven entry off the list if it was processed; otherwise it stays there.
  func settleRedrive(of entry: UInt64, _ outcome: RedriveSettling)
}

/// How the redrive of a failure entry ended.
public enum RedriveSettling: Hashable, Sendable {
  /// The records are processed.
  case succeeded
  /// They were delivered and failed once more.
  case failed(AttemptRecord)
  /// They were not delivered, or the delivery does not count: an entry before them failed, or the poller drains.
  case notDelivered
}

/// The records that a lane has read and not yet delivered.
public struct LaneBuffer: Sendable {
  /// What the last read brought in. `nil` while the lane has nothing at hand.
  public var run: RecordRun? { didSet { keyHashes.forget() } }
  /// The records of it that are not parked, in a lane that blocks by key, while others are.
  var picked: RecordRun?
  /// Which records of `picked`, or else of `run`, the next delivery takes.
  public var range: Range<Int> = 0..<0

  /// Memory for the next records that are picked, empty.
  var pickedMemory: RecordRun?
  /// How many parked records the next batch may leave out, by what the last one did.
  var parkedOfBatch = 0
  /// Of the partition keys of `run`, as far as somebody has asked for them.
  var keyHashes = KeyHashes()

  /// Of a lane whose mapping remembers what is done.
  var view: SettledView?
  /// The records that are done between those of the last read for a delivery.
  var settled: [RecordIndex] = []

  // For a lane that takes only some of its shard's records.

  /// Which they are; `nil` if all are the lane's.
  public var selection: (any RecordSelecting)?
  /// Whose records they are, for those who judge them.
  var origin = BatchOrigin(stream: "", shard: ShardNumber(0), shardCreatedAtSeconds: 0, attempt: 0)
  /// The records that were looked at for `run`.
  var scanned: Range<RecordIndex> = RecordIndex.zero..<RecordIndex.zero
  /// How many of its records the lane had to look at for a full batch, when it last looked, without those of parked keys.
  var recordsForBatch = 0
  /// Memory for the next block.
  var raw: RecordRun?
  /// Every record before this one was counted.
  var countedEnd = RecordIndex.zero
  /// What was counted since somebody last asked.
  var counts = ReadCounts()
  /// Which records that the filter cannot judge are kept as examples, and those that nobody has taken yet.
  var exampleRoom: FilterExamples.Room = []
  var examples: [(example: FilterExample, verdict: SelectionVerdict)] = []

  public init() {}

  /// The records for the next delivery, if there are any.
  func batch(from origin: BatchOrigin) -> RecordBatch? {
    (picked ?? run).map { RecordBatch(origin: origin, run: $0, range: range) }
  }

  /// Gives up the run, so that its memory can be used again if nobody else holds it.
  mutating func takeRun() -> RecordRun? {
    defer { run = nil }
    return run
  }

  /// The next delivery takes its records from `run`, unless others are picked. Nobody holds those of the last one any more,
  /// unless its handler keeps them: so their memory, and that of the run they were picked from, can be used again.
  mutating func forgetPicked() {
    guard picked != nil else { return }
    pickedMemory = nil
    swap(&pickedMemory, &picked)
    RecordRun.release(&pickedMemory)
  }

  /// The records that were looked at for `run`; `nil` if there is nothing to cut a batch from.
  var readAhead: Range<RecordIndex>? {
    guard let run, run.count > 0 else { return nil }
    return selection == nil ? run.firstIndex..<run.endIndex : scanned
  }

  mutating func takeRaw() -> RecordRun? {
    defer { raw = nil }
    return raw
  }

  /// Counts records in which none was left out, each one once.
  mutating func countAll(from first: RecordIndex, to end: RecordIndex) {
    guard end > countedEnd, end > first else { return }
    counts.polled += Int(max(first, countedEnd).distance(to: end))
    countedEnd = end
  }

  mutating func takeCounts() -> ReadCounts {
    defer { counts = ReadCounts() }
    return counts
  }

  mutating func takeExamples() -> [(example: FilterExample, verdict: SelectionVerdict)] {
    defer { examples = [] }
    return examples
  }
}
