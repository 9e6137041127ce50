internal import LMDB
public import StreamModel

/// What is stored for one lane of a mapping and shard.
public struct LaneRecord: Hashable, Sendable {
  /// The checkpoint: every record before it is settled.
  public var next: RecordIndex
  /// The rest of the lane's progress, in a form that only the runtime reads.
  public var payload: [UInt8]

  public init(next: RecordIndex, payload: [UInt8]) {
    self.next = next
    self.payload = payload
  }

  func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(next)
    writer.write(payload)
    return writer.bytes
  }

  init(decoding reader: ByteReader) throws(LMDBError) {
    var reader = reader
    self.init(next: try reader.readIndex(), payload: try reader.readBytes())
  }
}

/// The place of a lane in the store.
public struct LaneKey: Hashable, Comparable, Sendable {
  public var mapping: MappingNumber
  public var address: ShardAddress
  /// Which of the mapping's lanes on the shard, from 0.
  public var slot: UInt8

  public init(mapping: MappingNumber, address: ShardAddress, slot: UInt8 = 0) {
    self.mapping = mapping
    self.address = address
    self.slot = slot
  }

  public static func < (left: LaneKey, right: LaneKey) -> Bool {
    (left.mapping, left.address, left.slot) < (right.mapping, right.address, right.slot)
  }
}

/// A lane's progress to store.
public struct LaneUpdate: Hashable, Sendable {
  public var key: LaneKey
  /// `nil`: the lane is no more.
  public var record: LaneRecord?
  /// What became of its parked keys since the last update that was stored.
  public var parked: [ParkedUpdate]
  /// Records that joined those of their parked keys since then, of all keys together, in the order of the shard.
  public var parkedRecords: [ParkedRecord]

  public init(
    key: LaneKey, record: LaneRecord?, parked: [ParkedUpdate] = [], parkedRecords: [ParkedRecord] = []
  ) {
    self.parked = parked
    self.parkedRecords = parkedRecords
    self.key = key
    self.record = record
  }
}
