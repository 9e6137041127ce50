public import ShardCore
public import StreamModel

/// What every store must be able to do, in the words of the model: the LMDB store and the simulator's pure one pass the
/// same checks.
public protocol ConformingStore: AnyObject {
  /// What this store cannot do at all, each with the reason in a sentence. Checks that need it do not run.
  static var lacks: [StoreCapability: String] { get }

  /// The wall clock of the store. A check sets it; it stands still otherwise.
  var now: WallTime { get set }

  func createStream(_ name: String, shardCount: Int) throws -> StreamNumber
  /// The shards of the stream by number.
  func shards(of stream: StreamNumber) throws -> [ConformingShard]
  /// Puts the records together and waits until they are acknowledged; their places, in the order given.
  func append(_ records: [ConformingRecord], to stream: StreamNumber) throws -> [ConformingPlace]
  /// Reads as a lane does. `records` are those of the extent, and empty for an answer without one.
  func read(_ address: ShardAddress, _ request: ReadRequest) throws -> (answer: ReadAnswer, records: [ConformingRecord])
  func split(_ address: ShardAddress, at key: HashKey) throws -> [ShardAddress]
  func merge(_ address: ShardAddress, with other: ShardNumber) throws -> ShardAddress
  /// Removes what arrived before the moment, as far as whole blocks allow.
  func trim(_ address: ShardAddress, arrivedBefore moment: WallTime) throws

  /// Stores the progress of the mapping with this number, 0 or 1, in the shard.
  func storeLane(_ progress: LaneProgress, mapping: Int, _ address: ShardAddress) throws
  func lane(mapping: Int, _ address: ShardAddress) throws -> LaneProgress?

  /// Stores a failure entry for these records of the shard; its number.
  func storeFailure(_ order: FailureOrder, mapping: Int, _ address: ShardAddress) throws -> UInt64
  func failures() throws -> [ConformingFailure]
  func deleteFailure(_ number: UInt64) throws
  /// Removes failure entries of the mapping that were made before the moment, oldest first: one step, which looks at so
  /// many at most. How many it removed.
  func expireFailures(mapping: Int, createdBefore moment: WallTime, limit: Int) throws -> Int
  /// A failure entry goes somewhere, or the way is over and it is still there.
  func setOnItsWay(_ number: UInt64, _ way: ConformingWay, _ isOnIt: Bool) throws

  /// Ends without closing anything and opens again. What was acknowledged must be there.
  func crashAndReopen() throws
}

/// Something that a store may lack by its nature. Everything else is asked of every store.
public enum StoreCapability: Hashable, Sendable, CaseIterable {
  /// It keeps the bytes of records. A store without gives a read the records that were put at the indexes it names, so
  /// that checks of extents and places say something all the same.
  case recordBytes
}

/// Where a failure entry may be on its way to.
public enum ConformingWay: Hashable, Sendable, CaseIterable {
  /// To the destination of its mapping.
  case delivery
  /// To its lane once more.
  case redrive
}

/// A record as it was put.
public struct ConformingRecord: Hashable, Sendable {
  public var partitionKey: String
  public var data: [UInt8]
  public var explicitHashKey: HashKey?

  public init(partitionKey: String, data: [UInt8], explicitHashKey: HashKey? = nil) {
    self.partitionKey = partitionKey
    self.data = data
    self.explicitHashKey = explicitHashKey
  }

  var hashKey: HashKey { explicitHashKey ?? HashKey(partitionKey: partitionKey) }
}

/// Where a record went.
public struct ConformingPlace: Hashable, Sendable {
  public var address: ShardAddress
  public var index: RecordIndex

  public init(address: ShardAddress, index: RecordIndex) {
    self.address = address
    self.index = index
  }
}

/// A shard as a check sees it.
public struct ConformingShard: Hashable, Sendable {
  public var address: ShardAddress
  public var hashKeys: HashKeyRange
  public var parents: [ShardNumber]
  public var createdAtSeconds: UInt64
  /// The index behind the last record of a closed shard; `nil` while it is open.
  public var end: RecordIndex?

  public init(
    address: ShardAddress, hashKeys: HashKeyRange, parents: [ShardNumber], createdAtSeconds: UInt64, end: RecordIndex?
  ) {
    self.address = address
    self.hashKeys = hashKeys
    self.parents = parents
    self.createdAtSeconds = createdAtSeconds
    self.end = end
  }
}

/// A failure entry as a check sees it.
public struct ConformingFailure: Hashable, Sendable {
  public var number: UInt64
  public var mapping: Int
  public var address: ShardAddress
  public var order: FailureOrder
  public var records: [ConformingRecord]

  public init(
    number: UInt64, mapping: Int, address: ShardAddress, order: FailureOrder, records: [ConformingRecord]
  ) {
    self.number = number
    self.mapping = mapping
    self.address = address
    self.order = order
    self.records = records
  }
}
