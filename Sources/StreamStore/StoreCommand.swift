public import StreamModel

/// What the writer can be told besides appending records. Each succeeds or fails alone; those that are there together
/// become one transaction.
public enum StoreCommand: Sendable {
  /// Answers `.stream`.
  case createStream(NewStream)
  /// The stream is gone at once for everyone; its records are removed in small steps in the background. Its name can be
  /// used again.
  case deleteStream(StreamNumber)
  case setRetention(StreamNumber, milliseconds: Int64)
  /// Closes the shard and opens two: the second begins at `at`. Answers `.shards` with both.
  case split(ShardAddress, at: HashKey)
  /// Closes the shard and its neighbour and opens one for both. Answers `.shards` with it.
  case merge(ShardAddress, with: ShardNumber)
  /// Creates the mapping, or replaces the settings of the one with this name. Answers `.mapping`.
  case storeMapping(name: String, settings: [UInt8])
  /// Removes the mapping and its lanes. Its failure entries stay.
  case deleteMapping(MappingNumber)
  /// Of several updates of one lane that are there together only the last is written.
  case storeLanes([LaneUpdate])
  /// The update of one lane with what becomes true together with it. Counts for its bytes where room is short.
  case storeLane(LaneUpdate, LaneEffects)
  /// Puts and deletes entries of a mapping's tables that belong to no progress. Vital ones, which must be small, have the
  /// room that is left to progress; the others count for their bytes where room is short.
  case writeTables(MappingNumber, TableWrites, isVital: Bool)
  /// Replaces the entry of the same mapping, shard and records, if there is one: it keeps its number. Answers `.number`.
  case storeFailure(NewFailure)
  /// Replaces everything but the records and the delivery. The entry with the summary's number must exist.
  case updateFailure(FailureSummary)
  /// Replaces what is known of an entry's delivery. An entry that is gone, or was replaced since, is left as it is.
  case noteDelivery(DeliveryNote)
  case deleteFailure(UInt64)
  /// How long failure entries are kept, in milliseconds from their making, unless their mapping says something else;
  /// `nil`: until somebody deletes them.
  case setFailureRetention(milliseconds: Int64?)
  /// Removes what is too old, oldest first, and writes one audit entry about it. Answers `.expired`.
  case expireFailures(FailureExpiry)
  /// Writes the times of entries that were stored by a program which kept none: see
  /// ``StreamStore/lacksFailureTimes()``.
  case fillFailureTimes
  /// Answers `.number`.
  case appendAudit(AuditEntry)
  /// Answers `.trimmed`.
  case trim(TrimOrder)
}

/// A stream to create.
public struct NewStream: Hashable, Sendable {
  public var name: String
  /// 1 or more, in equal parts.
  public var shardCount: Int
  /// 1 hour to 365 days on AWS; here 1 ms or more.
  public var retentionMilliseconds: Int64
  /// 1 B to 10 MiB.
  public var recordByteLimit: Int
  public var kind: StreamKind

  public static let greatestRecordByteLimit = 10 << 20
  public static let greatestShardCount = 65_536

  public init(
    name: String, shardCount: Int = 1, retentionMilliseconds: Int64 = 24 * 3_600_000, recordByteLimit: Int = 1 << 20,
    kind: StreamKind = .kinesis
  ) {
    self.name = name
    self.shardCount = shardCount
    self.retentionMilliseconds = retentionMilliseconds
    self.recordByteLimit = recordByteLimit
    self.kind = kind
  }
}

/// A failure entry to store.
public struct NewFailure: Sendable {
  var summary: FailureSummary
  var payload: FailurePayload

  /// An entry for the records `range` of `run`, which are copied here; they begin at `summary.firstIndex`.
  public init(summary: FailureSummary, run: RecordRun, range: Range<Int>) {
    precondition(
      range.count == summary.count && run.index(at: range.lowerBound) == summary.firstIndex
        && run.index(at: range.upperBound - 1) == summary.lastIndex,
      "a failure entry holds the records it names")
    self.summary = summary
    self.payload = FailurePayload(run: run, range: range)
  }

  /// An entry for the final delivery of a tumbling window, which has no records.
  public init(finalDelivery summary: FailureSummary) {
    precondition(
      summary.count == 0 && summary.window?.isFinal == true, "a failure entry without records is of a window")
    self.summary = summary
    self.payload = FailurePayload(run: RecordRunBuilder(firstIndex: summary.firstIndex).finish(), range: 0..<0)
  }
}

/// Blocks to remove from the heads of shards.
public struct TrimOrder: Hashable, Sendable {
  /// A block goes when all its records arrived before this.
  public var cutoffs: [Cutoff]
  /// At most so many blocks, over all shards, 1 or more.
  public var blockLimit: Int

  public struct Cutoff: Hashable, Sendable {
    public var address: ShardAddress
    public var arrivedBefore: WallTime

    public init(address: ShardAddress, arrivedBefore: WallTime) {
      self.address = address
      self.arrivedBefore = arrivedBefore
    }
  }

  public init(cutoffs: [Cutoff], blockLimit: Int = 256) {
    self.cutoffs = cutoffs
    self.blockLimit = blockLimit
  }
}

/// What a trim did.
public struct TrimAnswer: Hashable, Sendable {
  public var removedRecords: UInt64 = 0
  public var removedBlocks = 0
  /// The limit ended it: give the same order again.
  public var moreRemain = false

  public init(removedRecords: UInt64 = 0, removedBlocks: Int = 0, moreRemain: Bool = false) {
    self.removedRecords = removedRecords
    self.removedBlocks = removedBlocks
    self.moreRemain = moreRemain
  }
}

/// What the writer answers to a command.
public enum CommandAnswer: Sendable {
  case done
  case stream(StreamInfo)
  case shards([ShardInfo])
  case mapping(MappingInfo)
  case number(UInt64)
  case trimmed(TrimAnswer)
  case expired(ExpiryAnswer)
}

/// Shards that have something new, as observers of commits hear it.
public struct CommitNotice: Sendable {
  /// Shards with more records than before, and those that were closed, each once.
  public var shards: [ShardChange]
  /// Streams, shards or mappings came, went or changed: look at ``StreamStore/catalog``.
  public var changesCatalog: Bool

  public struct ShardChange: Hashable, Sendable {
    public var address: ShardAddress
    /// The index behind the last record.
    public var end: RecordIndex
    public var isClosed: Bool
  }
}

public typealias AppendCompletion = @Sendable (Result<AppendReceipt, StoreError>) -> Void
public typealias CommandCompletion = @Sendable (Result<CommandAnswer, StoreError>) -> Void
