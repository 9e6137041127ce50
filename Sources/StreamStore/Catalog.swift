internal import LMDB
public import StreamModel

/// A stream and its settings.
public struct StreamInfo: Hashable, Sendable {
  public var number: StreamNumber
  public var name: String
  /// How long a record is kept, in milliseconds.
  public var retentionMilliseconds: Int64
  public var createdAt: WallTime
  /// The most bytes of data and partition key that one record may have.
  public var recordByteLimit: Int
  /// The number that the next shard gets.
  public var nextShard: ShardNumber
  /// Nothing can be put any more, and the records are being removed.
  public var isBeingDeleted: Bool
  public var kind = StreamKind.kinesis
}

extension StreamInfo {
  /// A stream that stands nowhere but in a recording.
  public init(number: StreamNumber, name: String, kind: StreamKind, createdAt: WallTime) {
    self.init(
      number: number, name: name, retentionMilliseconds: .max, createdAt: createdAt, recordByteLimit: .max,
      nextShard: ShardNumber(0), isBeingDeleted: false, kind: kind)
  }
}

/// A shard, open or closed.
public struct ShardInfo: Hashable, Sendable {
  public var address: ShardAddress
  public var hashKeys: HashKeyRange
  /// None for a shard that the stream was created with, one after a split, two after a merge.
  public var parents: [ShardNumber]
  /// Unix seconds, later than those of its parents: part of every sequence number.
  public var createdAtSeconds: UInt64
  public var createdAt: WallTime
  /// `nil` while the shard is open.
  public var closing: ShardClosing?
  /// Everything before this record was removed by retention.
  public var firstAvailable: RecordIndex
  /// The arrival of the last record that was removed; zero if none was.
  public var trimmedThrough: WallTime

  public var isOpen: Bool { closing == nil }

  /// A shard that stands nowhere but in a recording.
  public init(
    address: ShardAddress, hashKeys: HashKeyRange, parents: [ShardNumber], createdAtSeconds: UInt64,
    createdAt: WallTime, firstAvailable: RecordIndex
  ) {
    self.init(
      address: address, hashKeys: hashKeys, parents: parents, createdAtSeconds: createdAtSeconds, createdAt: createdAt,
      closing: nil, firstAvailable: firstAvailable, trimmedThrough: .zero)
  }

  init(
    address: ShardAddress, hashKeys: HashKeyRange, parents: [ShardNumber], createdAtSeconds: UInt64,
    createdAt: WallTime, closing: ShardClosing?, firstAvailable: RecordIndex, trimmedThrough: WallTime
  ) {
    self.address = address
    self.hashKeys = hashKeys
    self.parents = parents
    self.createdAtSeconds = createdAtSeconds
    self.createdAt = createdAt
    self.closing = closing
    self.firstAvailable = firstAvailable
    self.trimmedThrough = trimmedThrough
  }

  public func sequenceNumber(of index: RecordIndex) -> SequenceNumber {
    SequenceNumber(shardCreatedAtSeconds: createdAtSeconds, shard: address.shard, index: index)
  }
}

/// The end of a shard.
public struct ShardClosing: Hashable, Sendable {
  public var closedAt: WallTime
  /// The index behind the last record.
  public var end: RecordIndex
}

/// A mapping of a store, numbered from 1 in order of creation. Numbers are never used twice.
public struct MappingNumber: Hashable, Comparable, Sendable {
  public var rawValue: UInt32

  public init(_ rawValue: UInt32) { self.rawValue = rawValue }

  public static func < (left: MappingNumber, right: MappingNumber) -> Bool { left.rawValue < right.rawValue }
}

/// A mapping as the store knows it.
public struct MappingInfo: Hashable, Sendable {
  public var number: MappingNumber
  public var name: String
  public var createdAt: WallTime
  /// Whatever the runtime wants to find again.
  public var settings: [UInt8]
}

/// All streams, shards and mappings at one moment. A value: cheap to hand around, it does not change under its holder.
public struct Catalog: Sendable {
  public private(set) var streams: [StreamNumber: StreamInfo] = [:]
  public private(set) var mappings: [MappingNumber: MappingInfo] = [:]
  /// How long failure entries are kept whose mapping says nothing else, in milliseconds; `nil`: until somebody deletes
  /// them.
  public internal(set) var failureRetentionMilliseconds: Int64?
  private var numbers: [String: StreamNumber] = [:]
  private var mappingNumbers: [String: MappingNumber] = [:]
  private var shardsByStream: [StreamNumber: [ShardInfo]] = [:]
  private var routings: [StreamNumber: Routing] = [:]

  public func stream(named name: String) -> StreamInfo? { numbers[name].flatMap { streams[$0] } }

  public func mapping(named name: String) -> MappingInfo? { mappingNumbers[name].flatMap { mappings[$0] } }

  /// The shards of a stream in the order of their numbers.
  public func shards(of stream: StreamNumber) -> [ShardInfo] { shardsByStream[stream] ?? [] }

  public func shard(_ address: ShardAddress) -> ShardInfo? {
    guard let shards = shardsByStream[address.stream], let place = Self.place(of: address.shard, in: shards) else {
      return nil
    }
    return shards[place]
  }

  /// Which open shard a hash key belongs to; `nil` if there is no such stream, or it is being deleted.
  public func routing(of stream: StreamNumber) -> Routing? { routings[stream] }

  mutating func set(_ stream: StreamInfo) {
    streams[stream.number] = stream
    numbers[stream.name] = stream.number
    route(stream.number)
  }

  mutating func set(_ shard: ShardInfo) { set([shard]) }

  /// Adds or replaces shards of one stream, and routes once.
  mutating func set(_ changed: [ShardInfo]) {
    guard let stream = changed.first?.address.stream else { return }
    var shards = shardsByStream.removeValue(forKey: stream) ?? []
    var changesRouting = false
    for shard in changed {
      precondition(shard.address.stream == stream, "shards are set for one stream at a time")
      if let known = Self.place(of: shard.address.shard, in: shards) {
        changesRouting = changesRouting || shards[known].isOpen != shard.isOpen
        shards[known] = shard
      } else {
        changesRouting = true
        shards.append(shard)
      }
    }
    shardsByStream[stream] = shards
    if changesRouting { route(stream) }
  }

  mutating func set(_ mapping: MappingInfo) {
    mappings[mapping.number] = mapping
    mappingNumbers[mapping.name] = mapping.number
  }

  mutating func remove(_ mapping: MappingNumber) {
    if let old = mappings.removeValue(forKey: mapping) { mappingNumbers[old.name] = nil }
  }

  mutating func remove(_ stream: StreamNumber) {
    if let old = streams.removeValue(forKey: stream), numbers[old.name] == stream { numbers[old.name] = nil }
    shardsByStream[stream] = nil
    routings[stream] = nil
  }

  /// Frees the name of a stream that is being deleted.
  mutating func markDeleted(_ stream: StreamInfo) {
    streams[stream.number] = stream
    if numbers[stream.name] == stream.number { numbers[stream.name] = nil }
    routings[stream.number] = nil
  }

  private mutating func route(_ number: StreamNumber) {
    guard let stream = streams[number], !stream.isBeingDeleted, let shards = shardsByStream[number] else { return }
    routings[number] = Routing(
      stream: stream, shards: shards.filter(\.isOpen), version: (routings[number]?.version ?? 0) + 1)
  }

  private static func place(of shard: ShardNumber, in shards: [ShardInfo]) -> Int? {
    var low = 0
    var high = shards.count
    while low < high {
      let middle = (low + high) / 2
      if shards[middle].address.shard < shard { low = middle + 1 } else { high = middle }
    }
    return low < shards.count && shards[low].address.shard == shard ? low : nil
  }
}

/// The open shards of a stream by hash key, at one moment.
public final class Routing: Sendable {
  public let stream: StreamNumber
  public let streamName: String
  public let recordByteLimit: Int
  public let kind: StreamKind
  /// Ordered by hash key, without gaps once the stream is complete.
  public let shards: [ShardInfo]
  let version: UInt64

  init(stream: StreamInfo, shards: [ShardInfo], version: UInt64) {
    self.stream = stream.number
    self.streamName = stream.name
    self.recordByteLimit = stream.recordByteLimit
    self.kind = stream.kind
    self.shards = shards.sorted { $0.hashKeys.first < $1.hashKeys.first }
    self.version = version
  }

  /// The place in ``shards`` of the one that holds `key`.
  func slot(of key: HashKey) -> Int {
    var low = 0
    var high = shards.count - 1
    while low < high {
      let middle = (low + high) / 2
      if shards[middle].hashKeys.last < key { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The open shard that holds `key`.
  public func shard(for key: HashKey) -> ShardInfo { shards[slot(of: key)] }
}
