import ShardCore
import StreamModel
import StreamRuntime
import StreamStore
import Testing

/// Records are delivered if `carrier` is UA; each is named by its carrier and a number.
@Suite("Stream poller: filters", .timeLimit(.minutes(10)))
struct FilterTests {
  private static let united = [#"{"data":{"carrier":["UA"]}}"#]

  private static func flight(_ carrier: String, _ number: Int) -> String {
    #"{"carrier":"\#(carrier)","flight":\#(number)}"#
  }

  /// Every third flight is United's.
  private static func flights(_ range: Range<Int>) -> [String] {
    range.map { flight($0 % 3 == 0 ? "UA" : "DL", $0) }
  }

  private static func united(_ range: Range<Int>) -> [String] {
    range.filter { $0 % 3 == 0 }.map { flight("UA", $0) }
  }

  @Test("a filtered record is never delivered, does not count into the batch, and the checkpoint passes it")
  func filtered() async throws {
    let stage = try Stage()
    try await stage.put(Self.flights(0..<20))
    let poller = try await stage.poller(.quick.with { $0.batchSize = 3 }, filters: Self.united)
    #expect(
      await stage.next(3).map(\.data) == [Self.united(0..<9), Self.united(9..<18), Self.united(18..<20)])
    try await until { try stage.stored()?.progress.next == RecordIndex(20) }
    await poller.end()
    #expect(try stage.stored()?.progress == LaneProgress(next: RecordIndex(20)))
  }

  @Test("where every record is filtered the checkpoint advances without a delivery")
  func allFiltered() async throws {
    let stage = try Stage()
    try await stage.put((0..<50).map { Self.flight("DL", $0) })
    let poller = try await stage.poller(filters: Self.united)
    try await stage.put([Self.flight("UA", 50)])
    #expect(await stage.next() == Delivered(shard: 0, data: [Self.flight("UA", 50)], attempt: 1))
    try await stage.put((51..<60).map { Self.flight("AA", $0) })
    try await stage.put([Self.flight("UA", 60), Self.flight("AA", 61)])
    #expect(await stage.next()?.data == [Self.flight("UA", 60)])
    await poller.end()
    #expect(stage.all.count == 2)
    #expect(try stage.stored()?.progress.next ?? .zero >= RecordIndex(61))
  }

  @Test("a record whose data is not JSON is held back")
  func notJSON() async throws {
    let stage = try Stage()
    try await stage.put(["{\"carrier\":\"UA\"", Self.flight("UA", 1)])
    let poller = try await stage.poller(filters: Self.united)
    #expect(await stage.next()?.data == [Self.flight("UA", 1)])
    await poller.end()
    #expect(try stage.stored()?.progress.next == RecordIndex(2))
  }

  @Test("the first ten records that are not JSON are kept as examples, also over a restart, and one is counted once")
  func examples() async throws {
    let stage = try Stage()
    try await stage.put((0..<8).map { "\($0) is no JSON" } + [Self.flight("UA", 8)])
    let first = try await stage.poller(filters: Self.united)
    _ = await stage.next()
    #expect(first.filterExamples(of: "test")?.notJSON.map(\.sequenceNumber.index.rawValue) == Array(0..<8))
    await first.end()
    let long = String(repeating: "é", count: 300)
    try await stage.put((9..<13).map { "\($0)\(long)" } + [Self.flight("UA", 13)])
    let second = try await stage.poller(filters: Self.united)
    _ = await stage.next()
    await second.end()
    let mapping = try #require(try stage.store.catalog().mapping(named: "test"))
    let examples = try #require(MappingSettings(decoding: mapping.settings)).filterExamples.notJSON
    #expect(examples.map(\.sequenceNumber.index.rawValue) == Array(0..<8) + [9, 10])
    let example = try #require(examples.first)
    #expect(example.partitionKey == "key")
    #expect(String(decoding: example.data, as: UTF8.self) == "0 is no JSON")
    #expect(example.dataByteCount == 12)
    #expect(example.reason == "something follows the JSON value, at byte 2")
    #expect(examples.last?.data == Array("10\(long)".utf8.prefix(FilterExamples.dataByteLimit)))
    #expect(examples.last?.dataByteCount == 602)
  }

  @Test("examples of another filter are forgotten, and those of the same one stay")
  func otherFilter() {
    var former = MappingSettings(stream: StreamNumber(1), policy: LanePolicy())
    former.parameters["FilterCriteria"] = "a"
    let example = FilterExample(
      sequenceNumber: SequenceNumber(shardCreatedAtSeconds: 1, shard: ShardNumber(0), index: .zero), partitionKey: "k",
      arrival: .zero, data: [1], dataByteCount: 1, reason: "so")
    former.filterExamples.add(example, of: .undecided)
    var settings = MappingSettings(stream: StreamNumber(1), policy: LanePolicy())
    settings.parameters["FilterCriteria"] = "a"
    settings.inherit(from: former)
    #expect(settings.filterExamples.undecided == [example])
    settings.parameters["FilterCriteria"] = "b"
    settings.inherit(from: former)
    #expect(settings.filterExamples.isEmpty)
  }

  @Test("a record whose arrays combine in too many ways is delivered, and an example says so")
  func undecided() async throws {
    let stage = try Stage()
    // Every choice needs one of two fields of the same element, and each element has one of them for each choice.
    let names = (0..<9).map { "k\($0)" }
    let choices = names.map { #""\#($0)":{"$or":[{"a":[1]},{"b":[1]}]}"# }.joined(separator: ",")
    let elements = (0..<257).map { number in
      "{" + names.enumerated().map { #""\#($1)":{"\#(number >> $0 & 1 == 0 ? "a" : "b")":1}"# }.joined(separator: ",")
        + "}"
    }
    let record = #"{"list":[\#(elements.joined(separator: ","))]}"#
    try await stage.put([record])
    let poller = try await stage.poller(filters: [#"{"data":{"list":{\#(choices),"never":[1]}}}"#])
    #expect(await stage.next()?.data == [record])
    let examples = try #require(poller.filterExamples(of: "test"))
    #expect(examples.undecided.map(\.reason) == ["its arrays combine in more than 256 ways"])
    #expect(examples.notJSON.isEmpty)
    await poller.end()
  }

  @Test("a partial failure between filtered records delivers the rest of the batch again")
  func partial() async throws {
    let stage = try Stage()
    try await stage.put(Self.flights(0..<12))
    let poller = try await stage.poller(.patient, filters: Self.united) { delivered, batch in
      #expect((0..<batch.count).allSatisfy { batch.sequenceNumber(at: $0).index.rawValue % 3 == 0 })
      return delivered.data.count == 4 ? .failed(at: batch.sequenceNumber(at: 2)) : .succeeded
    }
    #expect(await stage.next(2).map(\.data) == [Self.united(0..<12), Self.united(6..<12)])
    await poller.end()
  }

  @Test("a number between two records of the batch names none of them")
  func numberOfFiltered() async throws {
    let stage = try Stage()
    try await stage.put(Self.flights(0..<6))
    let poller = try await stage.poller(filters: Self.united) { delivered, batch in
      var number = batch.sequenceNumber(at: 0)
      number.index = RecordIndex(1)
      return delivered.attempt == 1 ? .failed(at: number) : .succeeded
    }
    #expect(await stage.next(2).map(\.attempt) == [1, 2])
    await poller.end()
  }

  @Test("a batch that gave up keeps the records it had, with their numbers, and is redriven as it was")
  func failureEntry() async throws {
    let stage = try Stage()
    try await stage.put(Self.flights(0..<10))
    let poller = try await stage.poller(
      .quick.with { $0.maximumRetryAttempts = 0 }, filters: Self.united
    ) { delivered, batch in
      if delivered.attempt == 1, delivered.data.count == 4, batch.firstIndex == .zero {
        #expect((0..<4).map { batch.sequenceNumber(at: $0).index.rawValue } == [0, 3, 6, 9])
      }
      throw HandlerFailure(kind: .error, type: "Broken", message: "as ever")
    }
    #expect(await stage.next()?.data == Self.united(0..<10))
    try await stage.put([Self.flight("UA", 10)])
    _ = await stage.next()
    let entry = try #require(try stage.store.failure(1))
    #expect(entry.summary.count == 4)
    #expect(entry.summary.lastIndex == RecordIndex(9))
    #expect((0..<4).map { entry.records.index(at: $0).rawValue } == [0, 3, 6, 9])
    #expect(poller.redrive(entry.summary))
    #expect(await stage.next()?.data == Self.united(0..<10))
    await poller.end()
  }

  @Test("a failing batch is the same batch after a restart")
  func restart() async throws {
    let stage = try Stage()
    try await stage.put(Self.flights(0..<9))
    let first = try await stage.poller(.patient, filters: Self.united) { _, _ in
      throw HandlerFailure(kind: .error, type: "Broken", message: "as ever")
    }
    _ = await stage.next()
    await first.end()
    try await stage.put(Self.flights(9..<12))
    let second = try await stage.poller(.quick, filters: Self.united)
    _ = second.order({ .retryRequested($0) }, mapping: "test", shard: ShardNumber(0))
    #expect(await stage.next(2).map(\.data) == [Self.united(0..<9), Self.united(9..<12)])
    await second.end()
  }
}
