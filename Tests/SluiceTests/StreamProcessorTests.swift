import Sluice
import StreamModel
import StreamRuntime
import StreamStore
import Testing

@Suite("Stream processor", .timeLimit(.minutes(10)))
struct StreamProcessorTests {
  @Test("everything wrong with the mappings is said at once, before anything is delivered")
  func problems() async throws {
    let store = try TestStore()
    try await store.put("a")
    var processor = StreamProcessor(store: store.store)
    processor.logger = .silent
    let good = EventSourceMapping(stream: "orders", from: .trimHorizon)
    var bad = EventSourceMapping("bad", stream: "none", from: .latest)
    bad.batch = .init(upTo: 0, within: .seconds(301))
    bad.retry = .init(attempts: -1, recordAge: .zero)
    bad.timeout = .zero
    bad.concurrency = 0
    bad.unstoredBatchLimit = 0
    processor.map(good) { _ in fatalError("nothing may be delivered") }
    processor.map(good) { _ in fatalError("nothing may be delivered") }
    processor.map(bad) { _ in fatalError("nothing may be delivered") }
    do {
      try await processor.run()
      Issue.record("the mappings were accepted")
    } catch let error as MappingProblems {
      #expect(error.problems.count == 9)
      #expect(error.problems[0].contains("used twice"))
      #expect(error.problems[8].contains("does not exist"))
    }
    #expect(try store.store.catalog().mappings.isEmpty)
  }

  @Test("the lanes are said to be open when the poller has all of them")
  func lanesAreOpen() async throws {
    let store = try TestStore()
    let (opened, announce) = AsyncStream<Void>.makeStream()
    var processor = StreamProcessor(store: store.store)
    processor.logger = .silent
    processor.map(EventSourceMapping("first", stream: "orders", from: .latest)) { _ in .succeeded }
    processor.map(EventSourceMapping("second", stream: "orders", from: .latest)) { _ in .succeeded }
    processor.lanesAreOpen = { announce.yield() }
    let running = Task { [processor] in try await processor.run() }
    for await _ in opened { break }
    for name in ["first", "second"] { #expect(processor.poller?.look(at: name)?.count == 1) }
    running.cancel()
    try await running.value
  }

  @Test("cancelling drains: what is in flight ends and its progress is stored")
  func cancelling() async throws {
    let store = try TestStore()
    try await store.put("a")
    let (started, announce) = AsyncStream<String>.makeStream()
    let (door, opener) = AsyncStream<Void>.makeStream()
    var processor = StreamProcessor(store: store.store)
    processor.logger = .silent
    processor.map(EventSourceMapping(stream: "orders", from: .trimHorizon)) { batch in
      announce.yield(String(decoding: batch[0].dataBytes, as: UTF8.self))
      for await _ in door { break }
      #expect(!Task.isCancelled)
      return .succeeded
    }
    let running = Task { [processor] in try await processor.run() }
    for await data in started {
      #expect(data == "a")
      break
    }
    running.cancel()
    opener.yield()
    try await running.value
    guard let mapping = try store.store.catalog().mapping(named: "orders") else { throw Unexpected() }
    #expect(try store.store.lanes(of: mapping.number).values.map(\.next) == [RecordIndex(1)])
  }
}
