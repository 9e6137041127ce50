import LMDB
import StreamModel
@testable import StreamStore
import Testing

@Suite("StreamStore: reading records by their indexes")
struct RangeReadingTests {
  let folder = TemporaryStore()
  let address = ShardAddress(stream: StreamNumber(1), shard: ShardNumber(0))

  /// Three blocks of ten records, each marked with its index, a second apart.
  private func fill() throws -> StreamStore {
    let store = try folder.open { $0.mergesSmallBlocks = false }
    let stream = try store.create()
    for block in 0..<3 {
      try store.append((block * 10)..<(block * 10 + 10), to: stream.number)
      folder.now = folder.now.adding(milliseconds: 1_000)
    }
    return store
  }

  private func ranges(_ ranges: [Range<UInt64>]) -> [RecordRange] {
    ranges.map { RecordRange(first: RecordIndex($0.lowerBound), count: UInt64($0.count)) }
  }

  private func indexes(_ read: RangesRead) -> [UInt64] {
    (0..<read.run.count).map { read.run.index(at: $0).rawValue }
  }

  @Test(
    "the records come in order, from as many blocks as they stand in, with their data and arrivals",
    arguments: [[0..<1], [3..<5, 7..<9], [8..<12], [0..<30], [2..<3, 15..<16, 29..<30], [9..<11, 19..<21]])
  func inOrder(wanted: [Range<UInt64>]) throws {
    let store = try fill()
    let read = try store.read(address, at: ranges(wanted))
    #expect(indexes(read) == wanted.flatMap { Array($0) })
    #expect(read.begin.rawValue == wanted[0].lowerBound)
    let all = try store.read(
      address, from: .zero, countLimit: 30, payloadByteLimit: .max, recordOverheadBytes: 0)
    guard case .records(let whole) = all else {
      Issue.record("the shard has records")
      return
    }
    for position in 0..<read.run.count {
      let index = Int(read.run.index(at: position).rawValue)
      #expect(read.run.arrival(at: position) == whole.run.arrival(at: index))
      #expect(
        read.run.packedBytes(position..<position + 1).elementsEqual(whole.run.packedBytes(index..<index + 1)))
    }
  }

  @Test("what retention removed is not there, and the read says from where on records are")
  func trimmed() throws {
    let store = try fill()
    try store.performBlocking(
      .trim(
        TrimOrder(cutoffs: [TrimOrder.Cutoff(address: address, arrivedBefore: folder.now.adding(milliseconds: -2_500))])
      ))
    let rest = try store.read(address, at: ranges([2..<4, 5..<6, 12..<14]))
    #expect(indexes(rest) == [12, 13] && rest.begin == RecordIndex(12))
    let gone = try store.read(address, at: ranges([2..<4, 5..<6]))
    #expect(gone.run.count == 0 && gone.begin == RecordIndex(10))
    let behind = try store.read(address, at: ranges([40..<41]))
    #expect(behind.run.count == 0 && behind.begin == RecordIndex(41))
  }

  @Test("records that lie far apart come a few at a time, but one at least")
  func limited() throws {
    let store = try fill()
    let wanted = ranges([0..<1, 10..<11, 20..<21])
    #expect(try indexes(store.read(address, at: wanted, scanByteLimit: 1)) == [0])
    #expect(try indexes(store.read(address, at: wanted)) == [0, 10, 20])
  }

  @Test("what stands before a damaged block is given first")
  func damaged() throws {
    do { _ = try fill() }
    try folder.change("blocks", Key(block: address, RecordIndex(10))) { $0[60] ^= 0x40 }
    let store = try folder.open(role: .looker)
    #expect(try indexes(store.read(address, at: ranges([4..<6, 12..<13]))) == [4, 5])
    #expect(throws: StoreError.corruptedBlock(address, firstIndex: RecordIndex(10))) {
      try store.read(address, at: ranges([12..<13, 20..<21]))
    }
    #expect(try indexes(store.read(address, at: ranges([20..<21]))) == [20])
  }
}
