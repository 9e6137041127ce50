import LMDB
import StreamModel
@testable import StreamStore
import Testing

@Suite("StreamStore: damaged blocks")
struct DamagedBlockTests {
  let folder = TemporaryStore()
  let address = ShardAddress(stream: StreamNumber(1), shard: ShardNumber(0))

  /// Three blocks of ten records; the shard is closed behind them if `isClosed`.
  private func fill(isClosed: Bool = false) throws {
    let store = try folder.open { $0.mergesSmallBlocks = false }
    let stream = try store.create()
    for block in 0..<3 { try store.append((block * 10)..<(block * 10 + 10), to: stream.number) }
    if isClosed { try store.performBlocking(.split(address, at: HashKey(1 << 127))) }
  }

  /// Changes a byte of the block that begins at this record.
  private func change(_ first: UInt64, byte: Int, _ mask: UInt8) throws {
    try folder.change("blocks", Key(block: address, RecordIndex(first))) { $0[byte] ^= mask }
  }

  private func block(holding index: UInt64) throws -> DamagedBlock? {
    try folder.open(role: .looker).damagedBlock(holding: RecordIndex(index), in: address)
  }

  private func damaged(_ range: Range<UInt64>) -> DamagedBlock {
    DamagedBlock(
      address: address, firstIndex: RecordIndex(range.lowerBound), endIndex: RecordIndex(range.upperBound),
      isEndExact: true)
  }

  private func marks(from index: UInt64) throws -> [UInt8] {
    try folder.open(role: .looker).marks(address, from: index)
  }

  @Test("its neighbours say where it begins and ends, and reading goes on behind it", arguments: [60, 12, 8])
  func neighbours(byte: Int) throws {
    try fill()
    try change(10, byte: byte, 0x40)
    for index in [10, 15, 19] as [UInt64] { #expect(try block(holding: index) == damaged(10..<20)) }
    for index in [9, 20, 29, 30] as [UInt64] { #expect(try block(holding: index) == nil) }
    #expect(try marks(from: 0) == Array(0..<10))
    #expect(try marks(from: 20) == Array(20..<30))
  }

  @Test("the last block of an open shard ends where its head says, if so many records stand behind it")
  func last() throws {
    try fill()
    try folder.change("blocks", Key(block: address, RecordIndex(20))) { $0[$0.count - 1] ^= 0x40 }
    #expect(try block(holding: 25) == damaged(20..<30))
    try change(20, byte: 8, 0x40)
    let unknown = try #require(try block(holding: 25))
    #expect(unknown.firstIndex == RecordIndex(20) && unknown.endIndex >= RecordIndex(30) && !unknown.isEndExact)
    #expect(try block(holding: unknown.endIndex.rawValue) == nil)
    #expect(try folder.open(role: .looker).shardBounds(address).end == unknown.endIndex)
    #expect(try marks(from: unknown.endIndex.rawValue).isEmpty)
  }

  /// Bytes of the head that are read before the records are: format, count, first index, first and last arrival, sizes.
  @Test(
    "a store opens whatever is wrong with its last block, and what is put then comes behind it",
    arguments: [8, 12, 16, 30, 38, 40, 44, 48, 60], [false, true])
  func opens(byte: Int, isInInbox: Bool) throws {
    if isInInbox {
      do {
        let store = try folder.open()
        try store.append(0..<20, to: store.create(shards: 2).number)
      }
      try folder.change("inbox") { $0[byte] ^= 0x42 }
    } else {
      try fill()
      try change(20, byte: byte, 0x42)
    }
    let last = RecordIndex(isInInbox ? 0 : 20)
    let found = try #require(try block(holding: last.rawValue))
    var end = found.endIndex
    for round in 0..<2 {
      let store = try folder.open { $0.mergesSmallBlocks = round == 0 }
      let receipt = try store.append((round * 20)..<(round * 20 + 20), to: StreamNumber(1))
      let stretch = try #require(receipt.stretches.first { $0.address == address })
      #expect(stretch.firstIndex == end)
      end = end.advanced(by: stretch.count)
    }
    let behind = try #require(try block(holding: last.rawValue))
    #expect(behind.endIndex == found.endIndex && behind.isEndExact)
    #expect(throws: StoreError.corruptedBlock(address, firstIndex: last)) { try marks(from: last.rawValue) }
    #expect(try marks(from: found.endIndex.rawValue).count == Int(found.endIndex.distance(to: end)))
    #expect(try folder.open(role: .looker).check().problems.map(\.block) == [last])
    let bounds = try folder.open(role: .looker).shardBounds(address)
    #expect(bounds.end == end && bounds.lastArrival == folder.now)
  }

  @Test("the last block of a closed shard ends with the shard")
  func lastOfClosed() throws {
    try fill(isClosed: true)
    try change(20, byte: 8, 0x40)
    #expect(try block(holding: 20) == damaged(20..<30))
  }

  @Test("a head that claims fewer records is damage, not retention", arguments: [0, 10] as [UInt64])
  func lyingHead(first: UInt64) throws {
    try fill()
    try change(first, byte: 12, 2)
    let error = StoreError.corruptedBlock(address, firstIndex: RecordIndex(first))
    #expect(throws: error) { try marks(from: first + 9) }
    #expect(try block(holding: first + 9) == damaged(first..<(first + 10)))
  }

  @Test("a block that is missing is damage, not retention")
  func missing() throws {
    try fill()
    try folder.remove("blocks", Key(block: address, RecordIndex(10)))
    for index in [10, 13] as [UInt64] {
      #expect(throws: StoreError.corruptedBlock(address, firstIndex: RecordIndex(10))) { try marks(from: index) }
      #expect(try block(holding: index) == damaged(10..<20))
    }
    #expect(try marks(from: 20) == Array(20..<30))
  }

  @Test("what retention removed is not damage")
  func trimmed() throws {
    try fill()
    let cutoff = TrimOrder.Cutoff(address: address, arrivedBefore: .distantFuture)
    do { _ = try folder.open().performBlocking(.trim(TrimOrder(cutoffs: [cutoff], blockLimit: 1))) }
    #expect(try block(holding: 3) == nil)
    #expect(try marks(from: 3) == Array(10..<30))
  }

  @Test("the bounds of a shard are known although the head of its first block is damaged")
  func bounds() throws {
    try fill()
    try change(0, byte: 8, 0x40)
    let bounds = try folder.open(role: .looker).shardBounds(address)
    #expect(bounds.firstAvailable == .zero && bounds.end == RecordIndex(30))
    #expect(bounds.firstArrival == nil && bounds.lastArrival == folder.now)
  }
}
