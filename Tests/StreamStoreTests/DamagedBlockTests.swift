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
      address: address, firstIndex: RecordIndex(range.lowerBound), endIndex: RecordIndex(range.upperBound))
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

  @Test("the last block of an open shard ends where its head says, if that can be read")
  func last() throws {
    try fill()
    try change(20, byte: 60, 0x40)
    #expect(try block(holding: 25) == damaged(20..<30))
    try change(20, byte: 8, 0x40)
    #expect(try block(holding: 25) == DamagedBlock(address: address, firstIndex: RecordIndex(20), endIndex: nil))
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
