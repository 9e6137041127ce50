import Glibc
import LMDB
import Locks
import StreamModel
import StreamStore
import Testing

@Suite("StreamStore: appending")
struct AppendingTests {
  let folder = TemporaryStore()

  @Test("a record that breaks a rule is refused by field, rule and position")
  func validation() throws {
    let store = try folder.open()
    let stream = try store.create(recordByteLimit: 100)
    var request = AppendRequest(to: try store.routing(of: stream.number))
    try request.add(partitionKey: "k", data: [UInt8](repeating: 0, count: 99))
    func problem(_ key: String, _ count: Int) -> InvalidValue? {
      do throws(StoreError) {
        try request.add(partitionKey: key, data: [UInt8](repeating: 0, count: count))
      } catch {
        if case .invalid(let problem) = error { return problem }
      }
      return nil
    }
    #expect(problem("", 1)?.field == "PartitionKey")
    #expect(problem(String(repeating: "é", count: 257), 1)?.value == "257 characters long")
    #expect(problem("k", 100)?.field == "Data")
    #expect(problem("k", 100)?.position == 1)
    #expect(request.count == 1)
  }

  @Test("a partition key of bytes must be UTF-8")
  func keyBytes() throws {
    let store = try folder.open()
    var request = AppendRequest(to: try store.routing(of: try store.create().number))
    func add(_ key: [UInt8]) throws(StoreError) {
      let result: Result<Void, StoreError> = key.withUnsafeBytes { bytes in
        Result { () throws(StoreError) in
          try request.add(partitionKeyBytes: bytes, data: UnsafeRawBufferPointer(start: nil, count: 0))
        }
      }
      try result.get()
    }
    try add(Array("grün".utf8))
    #expect(throws: StoreError.self) { try add([0x67, 0xff]) }
    #expect(throws: StoreError.self) { try add([0xc3]) }
    #expect(request.count == 1)
  }

  @Test("a large record makes a block of its own, up to 10 MiB")
  func largeRecords() throws {
    let store = try folder.open()
    let stream = try store.create(recordByteLimit: NewStream.greatestRecordByteLimit)
    try store.append(0..<3, to: stream.number, byteCount: 200_000)
    try store.append(3..<5, to: stream.number, byteCount: (10 << 20) - 5)
    try store.append(5..<6, to: stream.number)
    #expect(try store.marks(.first(of: stream)) == [0, 1, 2, 3, 4, 5])
    #expect(try store.check().problems.isEmpty)
  }

  @Test("records that were packed before a split are routed again")
  func staleRouting() throws {
    let store = try folder.open()
    let stream = try store.create(shards: 2)
    let request = try store.request(stream.number, 0..<100)
    try store.performBlocking(.split(.first(of: stream), at: HashKey(1 << 100)))
    let receipt = try store.appendBlocking(request)
    let shards = Set(receipt.sequenceNumbers.map(\.shard.rawValue))
    #expect(!shards.contains(0))
    #expect(receipt.count == 100)
    for (number, sequenceNumber) in receipt.sequenceNumbers.enumerated() {
      let address = ShardAddress(stream: stream.number, shard: sequenceNumber.shard)
      #expect(try store.marks(address, from: sequenceNumber.index.rawValue).first == UInt8(number))
    }
  }

  @Test("what many threads put at once is all there, in the order of each", arguments: [Durability.commit, .system])
  func manyProducers(durability: Durability) async throws {
    let store = try folder.open(durability: durability)
    let stream = try store.create(shards: 4)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for producer in 0..<8 {
        group.addTask {
          var next: [ShardNumber: RecordIndex] = [:]
          for round in 0..<20 {
            let first = producer * 1000 + round * 10
            let receipt = try await store.append(try store.request(stream.number, first..<(first + 10)))
            for stretch in receipt.stretches {
              #expect(stretch.firstIndex >= next[stretch.address.shard] ?? .zero)
              next[stretch.address.shard] = stretch.firstIndex.advanced(by: stretch.count)
            }
          }
        }
      }
      try await group.waitForAll()
    }
    let counts = try store.catalog().shards(of: stream.number).map { try store.shardBounds($0.address).count }
    #expect(counts.reduce(0, +) == 1600)
    #expect(try store.check().problems.isEmpty)
  }

  @Test("a wrong command fails alone")
  func wrongCommand() async throws {
    let store = try folder.open()
    let stream = try store.create()
    async let appended = store.append(try store.request(stream.number, 0..<3))
    async let wrong: Void = {
      await #expect(throws: StoreError.noSuchFailure(99)) { try await store.perform(.deleteFailure(99)) }
    }()
    async let created = store.createStream(NewStream(name: "others"))
    #expect(try await appended.count == 3)
    #expect(try await created.name == "others")
    await wrong
  }

  @Test("an append to a stream that was deleted is refused")
  func deletedStream() throws {
    let store = try folder.open()
    let stream = try store.create()
    let request = try store.request(stream.number, 0..<3)
    try store.performBlocking(.deleteStream(stream.number))
    do throws(StoreError) {
      _ = try store.appendBlocking(request)
      Issue.record("the append was accepted")
    } catch {
      #expect(error == .noSuchStream("orders"))
    }
    #expect(try store.create().number != stream.number)
  }

  @Test("observers hear which shards have more, before the producer is answered")
  func observers() throws {
    let store = try folder.open()
    let stream = try store.create()
    let box = NoticeBox()
    let observer = store.observeCommits { box.add($0) }
    try store.append(0..<3, to: stream.number)
    #expect(box.notices.map { $0.shards.map(\.end) } == [[RecordIndex(3)]])
    try store.performBlocking(.split(.first(of: stream), at: HashKey(9)))
    #expect(box.notices.last?.shards.first?.isClosed == true)
    #expect(box.notices.last?.changesCatalog == true)
    store.removeObserver(observer)
    try store.append(3..<4, to: stream.number)
    #expect(box.notices.count == 2)
  }

  @Test("when too much waits, appends that do not wait are refused as overloaded")
  func overloaded() throws {
    let gate = Gate()
    let store = try folder.open {
      $0.waitingByteLimit = 1_000
      $0.now = {
        gate.pass()
        return WallTime(milliseconds: 1)
      }
    }
    gate.open()
    let stream = try store.create()
    gate.close()
    let refused = NoticeCounter()
    let answered = NoticeCounter()
    for number in 0..<10 {
      store.append(try store.request(stream.number, number..<(number + 1), byteCount: 400)) { result in
        if case .failure(.overloaded) = result { refused.add() } else { answered.add() }
      }
    }
    #expect(refused.count > 0)
    gate.open()
    store.close()
    #expect(refused.count + answered.count == 10)
    #expect(try store.marks(.first(of: stream)).count == answered.count)
  }
}

final class NoticeBox: Sendable {
  private let state = Monitor<[CommitNotice]>([])
  func add(_ notice: CommitNotice) { state.withLock { $0.append(notice) } }
  var notices: [CommitNotice] { state.withLock { $0 } }
}

final class NoticeCounter: Sendable {
  private let state = Monitor(0)
  func add() { state.withLock { $0 += 1 } }
  var count: Int { state.withLock { $0 } }
}

/// Holds whoever passes until it is opened.
final class Gate: @unchecked Sendable {
  // Unchecked because of the pointers; both are made for many threads.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var isOpen = false

  init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
  }

  deinit {
    mutex.deallocate()
    condition.deallocate()
  }

  func open() { set(true) }
  func close() { set(false) }

  private func set(_ value: Bool) {
    pthread_mutex_lock(mutex)
    isOpen = value
    pthread_cond_broadcast(condition)
    pthread_mutex_unlock(mutex)
  }

  func pass() {
    pthread_mutex_lock(mutex)
    while !isOpen { pthread_cond_wait(condition, mutex) }
    pthread_mutex_unlock(mutex)
  }
}
