import Glibc
import Locks
import StreamModel
import Testing

@testable import StreamStore

@Suite("StreamStore: trouble")
struct TroubleTests {
  let folder = TemporaryStore()

  @Test("a damaged block stops its shard, and no other; a check finds it")
  func damagedBlock() throws {
    let (first, second): (StreamInfo, StreamInfo)
    do {
      let store = try folder.open { $0.mergesSmallBlocks = false }
      first = try store.create("first")
      second = try store.create("second")
      try store.append(0..<10, to: first.number)
      try store.append(10..<20, to: second.number)
      try store.append(20..<30, to: first.number)
      try store.append(30..<40, to: first.number)
    }
    try folder.damage(behind: Array("key-25".utf8))
    let store = try folder.open()
    let address = ShardAddress.first(of: first)
    #expect(try store.marks(address) == Array(0..<10))
    #expect(throws: StoreError.corruptedBlock(address, firstIndex: RecordIndex(10))) {
      try store.marks(address, from: 10)
    }
    #expect(try store.marks(address, from: 20) == Array(30..<40))
    #expect(try store.marks(.first(of: second)) == Array(10..<20))
    let report = try store.check()
    #expect(report.problems.map(\.block) == [RecordIndex(10)])
    #expect(report.blocks == 4)
    #expect(report.records == 30)
  }

  @Test("a sound store passes the check")
  func soundStore() throws {
    let store = try folder.open()
    let stream = try store.create(shards: 3)
    for round in 0..<50 { try store.append((round * 20)..<(round * 20 + 20), to: stream.number) }
    let report = try store.check()
    #expect(report.problems.isEmpty)
    #expect(report.records == 1000)
  }

  @Test("when the map is full appends are refused, checkpoints go on, and trimming makes room again")
  func mapFull() throws {
    let store = try folder.open { $0.mapBytes = 4 << 20 }
    let stream = try store.create()
    let mapping = try store.map("m")
    var accepted = 0
    var refusal: StoreError?
    while refusal == nil, accepted < 1_000 {
      do throws(StoreError) {
        _ = try store.appendBlocking(
          try orRefusal { try store.request(stream.number, accepted..<(accepted + 1), byteCount: 20_000) })
        accepted += 1
        folder.now = folder.now.adding(milliseconds: 1)
      } catch {
        refusal = error
      }
    }
    #expect(refusal == .mapFull)
    #expect(refusal?.isRetryable == true)
    #expect(accepted > 50)
    let key = LaneKey(mapping: mapping.number, address: .first(of: stream))
    for next in 0..<300 as Range<UInt64> {
      try store.performBlocking(
        .storeLanes([LaneUpdate(key: key, record: LaneRecord(next: RecordIndex(next), payload: []))]))
    }
    #expect(try store.lane(key)?.next == RecordIndex(299))
    #expect(try store.marks(.first(of: stream)).count == accepted)
    let cutoff = TrimOrder.Cutoff(address: .first(of: stream), arrivedBefore: folder.now.adding(milliseconds: -10))
    try store.performBlocking(.trim(TrimOrder(cutoffs: [cutoff], blockLimit: 1_000)))
    try store.append(0..<10, to: stream.number, byteCount: 20_000)
    #expect(try store.check().problems.isEmpty)
  }

  @Test("small blocks are not merged with the room that is kept for checkpoints")
  func mapFullOfSmallBlocks() throws {
    let stream: StreamInfo
    let mapping: MappingInfo
    do {
      let store = try folder.open {
        $0.mapBytes = 4 << 20
        $0.mergesSmallBlocks = false
      }
      stream = try store.create()
      mapping = try store.map("m")
      #expect(throws: StoreError.mapFull) {
        for mark in 0..<1_000 { try store.append(mark..<(mark + 1), to: stream.number, byteCount: 20_000) }
      }
    }
    let steps = Monitor(0)
    let store = try folder.open {
      $0.mapBytes = 4 << 20
      $0.afterBackgroundStep = {
        steps.withLock { $0 += 1 }
        steps.signal()
      }
    }
    // The step that comes when the writer has nothing else to do finds what the run before has left.
    _ = steps.wait(deadline: nil) { $0 > 0 ? true : nil }
    #expect(store.backgroundFailure == .mapFull)
    let key = LaneKey(mapping: mapping.number, address: .first(of: stream))
    for next in 0..<300 as Range<UInt64> {
      try store.performBlocking(
        .storeLanes([LaneUpdate(key: key, record: LaneRecord(next: RecordIndex(next), payload: []))]))
    }
    let before = try store.check().blocks
    let cutoff = TrimOrder.Cutoff(address: .first(of: stream), arrivedBefore: .distantFuture)
    try store.performBlocking(.trim(TrimOrder(cutoffs: [cutoff], blockLimit: Int(before) / 2)))
    _ = steps.wait(deadline: nil) { _ in store.backgroundFailure == nil ? true : nil }
    #expect(try store.check().blocks < before)
    #expect(try store.check().problems.isEmpty)
  }

  private func orRefusal<Value: ~Copyable>(_ body: () throws -> Value) throws(StoreError) -> Value {
    do { return try body() } catch { throw error as? StoreError ?? .failed("\(error)") }
  }

  /// Whether this process may mount: tried once, on a folder that nothing else uses.
  private static let mayMount: Bool = {
    let folder = TemporaryStore()
    return mount("tmpfs", folder.path, "tmpfs", 0, "size=64k") == 0 && umount2(folder.path, Int32(MNT_DETACH)) == 0
  }()

  @Test("a full disk refuses appends and nothing else", .enabled(if: mayMount, "mounting is not permitted here"))
  func diskFull() throws {
    let path = folder.path + "/small"
    mkdir(path, 0o755)
    defer { rmdir(path) }
    try #require(mount("tmpfs", path, "tmpfs", 0, "size=6m") == 0)
    defer { umount(path) }
    do {
      var options = StoreOptions()
      options.mapBytes = 1 << 30
      let store = try StreamStore.open(at: path, options: options)
      let stream = try store.create()
      let mapping = try store.map("m")
      var accepted = 0
      #expect(throws: StoreError.diskFull) {
        while accepted < 1_000 {
          try store.append(accepted..<(accepted + 1), to: stream.number, byteCount: 20_000)
          accepted += 1
        }
      }
      #expect(accepted > 20)
      let key = LaneKey(mapping: mapping.number, address: .first(of: stream))
      for next in 0..<300 as Range<UInt64> {
        try store.performBlocking(
          .storeLanes([LaneUpdate(key: key, record: LaneRecord(next: RecordIndex(next), payload: []))]))
      }
      #expect(try store.marks(.first(of: stream)).count == accepted)
      let cutoff = TrimOrder.Cutoff(address: .first(of: stream), arrivedBefore: .distantFuture)
      try store.performBlocking(.trim(TrimOrder(cutoffs: [cutoff], blockLimit: 1_000)))
      try store.append(0..<10, to: stream.number, byteCount: 20_000)
      #expect(try store.check().problems.isEmpty)
    }
    for name in ["data.mdb", "lock.mdb", "LOCK"] { unlink(path + "/" + name) }
  }
}
