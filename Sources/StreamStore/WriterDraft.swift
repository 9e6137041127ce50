internal import LMDB
internal import StreamModel

/// What the writer must know of a shard to append to it.
struct ShardTail: Hashable {
  var next: RecordIndex
  var lastArrival: WallTime
}

/// The numbers that come next, which must survive so that none is used twice.
struct Counters: Hashable {
  var nextStream: UInt32 = 1
  var nextMapping: UInt32 = 1
  var nextFailure: UInt64 = 1
  var nextAudit: UInt64 = 1
}

/// A block in the making: slabs of one shard that go into it.
struct OpenBlock {
  var firstIndex: RecordIndex
  var arrival: WallTime
  var slabs: [RecordSlab] = []
  var count = 0
  var byteCount = 0
  var dataByteCount = 0
  var greatestRecordByteCount = 0

  mutating func append(_ slab: RecordSlab) {
    slabs.append(slab)
    count += slab.count
    byteCount += slab.byteCount
    dataByteCount += slab.dataByteCount
    greatestRecordByteCount = max(greatestRecordByteCount, slab.greatestRecordByteCount)
  }

  var header: BlockHeader {
    BlockHeader(
      count: count, firstIndex: firstIndex, firstArrival: arrival, lastArrival: arrival, packedByteCount: byteCount,
      greatestRecordByteCount: greatestRecordByteCount, dataByteCount: dataByteCount)
  }
}

/// What a transaction is about to make true. Becomes the writer's state when it was committed, and is forgotten when it
/// was not.
struct WriterDraft {
  let now: WallTime
  var catalog: Catalog
  var changesCatalog = false
  var counters: Counters
  /// The tails that changed, over those of the writer.
  var tails: [ShardAddress: ShardTail] = [:]
  var openBlocks: [ShardAddress: OpenBlock] = [:]
  /// The last update of each lane; `nil` for one that is no more.
  var lanes: [LaneKey: LaneRecord?] = [:]
  var inbox: Inbox
  /// Whether the records of this transaction are few enough for the inbox.
  let isSmall: Bool
  /// Small blocks that came, by shard: see ``SmallBlocks``.
  var smallBlocks: [(ShardAddress, RecordIndex)] = []
  var closedShards: Set<ShardAddress> = []
  var deletedStreams: [StreamNumber] = []
  var deletedMappings: [MappingNumber] = []
  /// Whom to tell what, once the transaction is durable.
  var answers: [Answer] = []

  enum Answer {
    case append(AppendCompletion, Result<AppendReceipt, StoreError>)
    case command(CommandCompletion, Result<CommandAnswer, StoreError>)

    func send() {
      switch self {
      case .append(let completion, let result): completion(result)
      case .command(let completion, let result): completion(result)
      }
    }
  }

  var notice: CommitNotice {
    var shards: [CommitNotice.ShardChange] = []
    shards.reserveCapacity(tails.count)
    for (address, tail) in tails {
      shards.append(.init(address: address, end: tail.next, isClosed: closedShards.contains(address)))
    }
    return CommitNotice(shards: shards, changesCatalog: changesCatalog)
  }
}
