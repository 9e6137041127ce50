import Foundation
import Sluice
import StreamModel
import StreamRuntime
import StreamStore
import Testing

/// What goes over the wire between a command and a worker. The kinds are counted, so that a new one cannot be forgotten.
@Suite("Operator requests and answers as JSON", .timeLimit(.minutes(10)))
struct OperatorCodingTests {
  private func survives<Value: Codable & Equatable>(_ value: Value) throws {
    #expect(try JSONDecoder().decode(Value.self, from: JSONEncoder().encode(value)) == value)
  }

  @Test("every request survives its JSON")
  func requests() throws {
    let query = FailureQuery(mapping: "m", shard: "3", entries: [1, .max])
    let consent = Consent(actor: "ada", isApplied: true)
    let actions: [LaneAction] = [
      .pause, .resume, .retry, .skip(through: nil), .skip(through: "49"), .skipKey("a", isAll: true),
    ]
    #expect(Set(actions.map(\.kind)).count == LaneAction.kindCount)
    let requests: [OperatorRequest] =
      [
        .status, .explain(mapping: "m", shard: nil), .explain(mapping: "m", shard: "0"), .listFailures(query),
        .record(mapping: "m", sequenceNumber: "49"), .listFailures(FailureQuery()), .showFailure(entry: .max),
        .redrive(query, consent: consent), .redrive(query, to: "n", consent: consent),
        .redeliver(query, consent: consent), .purge(query, consent: Consent(actor: "", isApplied: false)), .listStreams,
        .describeStream(name: "s"),
        .createStream(name: "s", shards: 2, retentionMilliseconds: 3, recordByteLimit: 4),
        .deleteStream(name: "s", consent: consent), .splitShard(stream: "s", shard: "0", at: nil),
        .splitShard(stream: "s", shard: "0", at: "170141183460469231731687303715884105728"),
        .mergeShards(stream: "s", shard: "0", other: "1"), .audit(limit: 5),
        .duplicates(mapping: "m", shard: "0", limit: 7),
        .apply(ConfigurationText(yaml: "a: 1", source: "f", directory: nil), consent: consent),
        .deleteMapping(name: "m", consent: consent), .listFunctions, .positions(mapping: "m", shard: nil),
        .copyPositions(from: "m", to: "n", consent: consent),
        .act(.pause, mapping: "m", shard: nil, consent: consent),
      ] + actions.map { .act($0, mapping: "m", shard: "1", consent: consent) }
      + [.time(1), .sequenceNumber("49"), .trimHorizon, .latest, .beforeFirstFailure].map {
        .seek(SeekOrder(mapping: "m", shard: "1", target: $0, discards: true), consent: consent)
      }
    #expect(Set(requests.map(\.kind)).count == OperatorRequest.kindCount)
    for request in requests { try survives(request) }
  }

  @Test("every answer survives its JSON, with something in each of its lists")
  func answers() async throws {
    let store = try TestStore()
    try await store.put("bad")
    let working = try await Working(on: store.store, retries: 0) { _ in throw Unexpected() }
    _ = await working.next(1)
    await working.end()
    let again = try await Working(on: store.store, retries: 0) { _ in throw Unexpected() }
    let redrive = await StoreOperator(store: store.store, poller: { again.poller }).perform(
      .redrive(FailureQuery(), consent: Consent(actor: "ada", isApplied: true)))
    guard case .action = redrive else { throw Unexpected() }
    _ = await again.next(1)
    await again.end()
    let operations = StoreOperator(
      store: store.store, worker: WorkerReport(processID: 7, address: "127.0.0.1:4567"))
    let purge = Consent(actor: "ada", isApplied: true)
    let shard = try store.store.shard(ShardAddress(stream: try store.stream, shard: ShardNumber(0)))
    let number = shard.sequenceNumber(of: .zero).description
    var answers: [OperatorAnswer] = []
    for request in [
      .status, .explain(mapping: "orders", shard: nil), .listFailures(FailureQuery()), .showFailure(entry: 1),
      .record(mapping: "orders", sequenceNumber: number), .listStreams, .purge(FailureQuery(), consent: purge),
      .audit(limit: 1), .showFailure(entry: 1), .duplicates(mapping: "orders", shard: nil, limit: 10),
      .positions(mapping: "orders", shard: nil),
      .seek(SeekOrder(mapping: "orders", target: .trimHorizon), consent: purge),
    ] as [OperatorRequest] {
      answers.append(await operations.perform(request))
    }
    let times = FunctionReport.Times(p50: 1, p90: nil, p99: 2.5, largest: 3)
    answers.append(
      .functions([
        FunctionReport(
          name: "f", command: ["a", "b"], environments: 1, concurrency: 2, invocations: 100, errors: ["E": 3],
          throttles: 4,
          coldStarts: 5, initFailures: 6, duration: times, initDuration: times, timeoutMilliseconds: 3_000,
          memoryMegabytes: 128, largestMemoryMegabytes: 200, memoryLimit: .sampled)
      ]))
    answers.append(
      .changes(
        ChangeReport(
          isApplied: true, worker: WorkerReport(processID: 1, address: nil),
          differences: [
            SettingDifference(path: "mappings.m.BatchSize", runs: "1", file: nil, moment: .nextBatch),
            SettingDifference(path: "mappings.n", runs: nil, file: "new", moment: .atOnce, effect: "starts"),
          ])))
    for answer in answers {
      #expect(!answer.isEmpty)
      try survives(answer)
    }
    #expect(Set(answers.map(\.kind)).count == OperatorAnswer.kindCount)
  }

  @Test("a put's answers survive their JSON")
  func puts() async throws {
    let store = try TestStore()
    var packed: [UInt8] = []
    Array("a".utf8).withUnsafeBytes { key in
      RecordLayout.append(partitionKey: key, data: key, explicitHashKey: nil, to: &packed)
    }
    let answer = await StoreOperator(store: store.store).put(packed, into: "orders")
    guard case .stored(let report) = answer, report.shards.count == 1 else { throw Unexpected() }
    try survives(answer)
    for reason in [.badInput, .needsWorker, .tryAgain, .failed] as [OperatorRefusal.Reason] {
      try survives(PutAnswer.refused(OperatorRefusal(reason, "later")))
    }
  }
}

extension LaneAction {
  fileprivate static let kindCount = 5

  fileprivate var kind: Int {
    switch self {
    case .pause: 0
    case .resume: 1
    case .retry: 2
    case .skip: 3
    case .skipKey: 4
    }
  }
}

extension OperatorRequest {
  fileprivate static let kindCount = 23

  fileprivate var kind: Int {
    switch self {
    case .status: 0
    case .explain: 1
    case .act: 2
    case .listFailures: 3
    case .showFailure: 4
    case .redrive: 5
    case .purge: 6
    case .listStreams: 7
    case .describeStream: 8
    case .createStream: 9
    case .deleteStream: 10
    case .splitShard: 11
    case .mergeShards: 12
    case .audit: 13
    case .redeliver: 14
    case .apply: 15
    case .deleteMapping: 16
    case .record: 17
    case .listFunctions: 18
    case .duplicates: 19
    case .positions: 20
    case .seek: 21
    case .copyPositions: 22
    }
  }
}

extension OperatorAnswer {
  fileprivate static let kindCount = 14

  fileprivate var kind: Int {
    switch self {
    case .status: 0
    case .lanes: 1
    case .action: 2
    case .failures: 3
    case .failure: 4
    case .streams: 5
    case .audit: 6
    case .refused: 7
    case .changes: 8
    case .record: 9
    case .functions: 10
    case .duplicates: 11
    case .positions: 12
    case .seek: 13
    }
  }

  /// Whether a list of it that JSON could mistreat holds nothing.
  fileprivate var isEmpty: Bool {
    switch self {
    case .status(let report): report.mappings.first?.lanes.isEmpty ?? true
    case .lanes(let lanes): lanes.isEmpty
    case .record(let report): report.attempts.isEmpty
    case .action(let report): report.effects.isEmpty
    case .failures(let entries): entries.first?.attempts.isEmpty ?? true
    case .failure(_, let records): records.isEmpty
    case .streams(let streams): streams.first?.shards.isEmpty ?? true
    case .audit(let entries): entries.isEmpty
    case .changes(let report): report.differences.isEmpty
    case .functions(let reports): reports.first?.errors.isEmpty ?? true
    case .duplicates(let report): report.redeliveries.isEmpty || report.records.isEmpty
    case .positions(let lanes): lanes.isEmpty
    case .seek(let report): report.lanes.isEmpty
    case .refused: false
    }
  }
}
