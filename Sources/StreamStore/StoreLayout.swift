internal import LMDB
internal import StreamModel

/// The table of tables. Keys are numbers of fixed size, big-endian, so that the order of bytes is the order of things.
///
/// Behind each value but those of blocks and inbox stands its checksum: see ``SmallTable``.
///
/// | table | key | value |
/// | --- | --- | --- |
/// | meta | name | a number: ``MetaName`` |
/// | streams | stream u32 | ``StreamInfo`` |
/// | shards | stream u32, shard u32 | ``ShardInfo`` |
/// | blocks | stream u32, shard u32, first index u64 | ``BlockHeader``, then packed records |
/// | inbox | transaction u64, stream u32, shard u32, first index u64 | as in blocks: see ``Inbox`` |
/// | lanes | mapping u32, stream u32, shard u32; then slot u8, unless it is 0 | ``LaneRecord`` |
/// | mappings | mapping u32 | ``MappingInfo`` |
/// | failures | number u64 | ``FailureSummary`` |
/// | failurePayloads | number u64 | ``FailurePayload`` |
/// | failureKeys | mapping u32, stream u32, shard u32, first u64, last u64 | number u64 |
/// | failureTimes | mapping u32, time u64, number u64 | empty: when each failure entry was made; see `FailureTimes.swift` |
/// | outbox | mapping u32, number u64 | of a failure entry that has a destination and is not there: ``FailureDelivery`` |
/// | audit | number u64 | ``AuditEntry`` |
/// | parked | mapping u32, stream u32, shard u32, slot u8, key u64; for its records, then first u64 | what the runtime knows of a parked key; ranges of its records |
/// | parkedLog | mapping u32, stream u32, shard u32, slot u8, row u64 | records that joined those of their keys: ``ParkedLogRow`` |
/// | tables | mapping u32, ``TableEntryKey`` | bytes: ``StoredTables`` |
struct StoreLayout: Sendable {
  static let formatVersion: UInt32 = 4
  /// The formats before, which a writer makes the present one: 2 only lacks the inbox, and 3, as 2, the log of parked
  /// records, which all stand among those of their keys there.
  static let updatedFormatVersions: ClosedRange<UInt32> = 2...3

  var meta: SmallTable
  var streams: SmallTable
  var shards: SmallTable
  var blocks: Database
  var inbox: Database
  var lanes: SmallTable
  var mappings: SmallTable
  var failures: SmallTable
  var failurePayloads: SmallTable
  var failureKeys: SmallTable
  /// `nil` for a looker at a store that no writer has opened since failure entries expire.
  var failureTimes: SmallTable?
  /// `nil` in a store that is only looked at and was last written before there were destinations.
  var outbox: SmallTable?
  var audit: SmallTable
  /// `nil` in a store that nobody has written to since there are parked keys.
  var parked: SmallTable?
  /// `nil` in a store of a format before the present one.
  var parkedLog: SmallTable?
  /// `nil` for a looker at a store that no writer has opened since there are such tables.
  var tables: Database?

  /// Opens all tables, creating them in a store that is written to. `nil` if one is missing.
  init?(opening environment: Environment) throws(LMDBError) {
    let kinds = SmallTable.Kind.allCases
    let tables = try environment.openTables(["blocks", "inbox"] + kinds.map(\.name) + ["tables"])
    guard let blocks = tables[0], let inbox = tables[1] else { return nil }
    var small: [SmallTable.Kind: SmallTable] = [:]
    for (kind, table) in zip(kinds, tables.dropFirst(2)) {
      small[kind] = table.map { SmallTable(kind: kind, database: $0) }
    }
    guard let meta = small[.meta], let streams = small[.streams], let shards = small[.shards],
      let lanes = small[.lanes], let mappings = small[.mappings], let failures = small[.failures],
      let failurePayloads = small[.failurePayloads], let failureKeys = small[.failureKeys], let audit = small[.audit]
    else { return nil }
    self.meta = meta
    self.streams = streams
    self.shards = shards
    self.blocks = blocks
    self.inbox = inbox
    self.lanes = lanes
    self.mappings = mappings
    self.failures = failures
    self.failurePayloads = failurePayloads
    self.failureKeys = failureKeys
    self.failureTimes = small[.failureTimes]
    self.outbox = small[.outbox]
    self.audit = audit
    self.parked = small[.parked]
    self.parkedLog = small[.parkedLog]
    self.tables = tables.last ?? nil
  }
}

/// The single numbers of the meta table.
enum MetaName {
  static let format = Key("format")
  static let nextStream = Key("nextStream")
  static let nextMapping = Key("nextMapping")
  static let nextFailure = Key("nextFailure")
  static let nextAudit = Key("nextAudit")
  static let failureRetention = Key("failureRetention")
}

extension Key {
  init(stream: StreamNumber) { self.init(stream.rawValue) }

  init(shard address: ShardAddress) { self.init(address.stream.rawValue, address.shard.rawValue) }

  init(block address: ShardAddress, _ first: RecordIndex) {
    self.init(address.stream.rawValue, address.shard.rawValue, first.rawValue)
  }

  init(lane mapping: MappingNumber, _ address: ShardAddress) {
    self.init(mapping.rawValue, address.stream.rawValue, address.shard.rawValue)
  }

  init(_ lane: LaneKey) {
    self.init(lane: lane.mapping, lane.address)
    if lane.slot > 0 { append(lane.slot) }
  }

  init(failure mapping: MappingNumber, _ address: ShardAddress, first: RecordIndex, last: RecordIndex) {
    self.init(lane: mapping, address)
    append(first.rawValue)
    append(last.rawValue)
  }

  /// The shard that a key of the blocks or shards table belongs to.
  var shardAddress: ShardAddress {
    ShardAddress(stream: StreamNumber(number(at: 0)), shard: ShardNumber(number(at: 4)))
  }

  /// The first record of a key of the blocks table.
  var blockIndex: RecordIndex { RecordIndex(number(at: 8)) }

  /// The lane of a key of the lanes table.
  var laneKey: LaneKey {
    LaneKey(
      mapping: MappingNumber(number(at: 0)),
      address: ShardAddress(stream: StreamNumber(number(at: 4)), shard: ShardNumber(number(at: 8))),
      slot: count > 12 ? number(at: 12) : 0)
  }

  func isBlock(of address: ShardAddress) -> Bool { count == 16 && shardAddress == address }
}
