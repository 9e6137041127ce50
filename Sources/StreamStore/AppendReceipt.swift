public import StreamModel

/// Where the records of a request went. They are there, and durable as the store's setting says.
public struct AppendReceipt: Sendable {
  public let stream: StreamNumber
  /// The stretch of each shard that got records, in the order of hash keys.
  public let stretches: [Stretch]
  /// For each record, in the order of the request, the place of its shard in the routing; empty for a single shard.
  private let slots: [UInt32]
  /// The stretch of each place in the routing.
  private let stretchOfSlot: [UInt32]

  /// Consecutive records of one shard.
  public struct Stretch: Hashable, Sendable {
    public var address: ShardAddress
    public var shardCreatedAtSeconds: UInt64
    public var firstIndex: RecordIndex
    public var count: Int
    /// When the records arrived, as the store saw it. Never before the shard's previous record.
    public var arrival: WallTime
  }

  init(stream: StreamNumber, stretches: [Stretch], slots: [UInt32], stretchOfSlot: [UInt32]) {
    self.stream = stream
    self.stretches = stretches
    self.slots = slots
    self.stretchOfSlot = stretchOfSlot
  }

  /// The number of records.
  public var count: Int { stretches.reduce(0) { $0 + $1.count } }

  /// Calls `body` with the place of each record, in the order of the request.
  public func forEachPlace(_ body: (SequenceNumber, ShardNumber) -> Void) {
    var counts = stretches.map { _ in 0 }
    for position in 0..<count {
      let place = slots.isEmpty ? 0 : Int(stretchOfSlot[Int(slots[position])])
      let stretch = stretches[place]
      let number = SequenceNumber(
        shardCreatedAtSeconds: stretch.shardCreatedAtSeconds, shard: stretch.address.shard,
        index: stretch.firstIndex.advanced(by: counts[place]))
      counts[place] += 1
      body(number, stretch.address.shard)
    }
  }

  /// The sequence numbers in the order of the request. They name their shards.
  public var sequenceNumbers: [SequenceNumber] {
    var numbers: [SequenceNumber] = []
    numbers.reserveCapacity(count)
    forEachPlace { number, _ in numbers.append(number) }
    return numbers
  }
}
