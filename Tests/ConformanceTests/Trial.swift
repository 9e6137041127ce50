import CoreMetrics
import Destinations
import Foundation
import LambdaRuntime
import Logging
import ShardCore
@testable import Sluice
@testable import SluiceService
import StreamModel
import StreamRuntime
import StreamStore

/// A mapping on trial: the real store, the real poller, a handler in another process, and clocks that stand still until
/// nothing can happen without time.
final class Trial {
  private let folder: URL
  private let store: StreamStore
  private let clock = StandingClock()
  private var configuration: Configuration
  private var settings: [String]
  private let kind: StreamKind
  private let handler: ScriptedHandler
  private var poller: StreamPoller?
  private var invocationLimit = Int.max
  private var failuresSeen: UInt64 = 0
  private let shown: Set<Example.Shown>

  init(_ settings: [String], _ kind: StreamKind, shows shown: Set<Example.Shown> = []) throws {
    self.shown = shown
    self.kind = kind
    self.settings = settings
    // Metrics are those of the process, told apart by the names of mappings.
    if shown.contains(.metrics) {
      _ = Self.metrics
      self.settings.append("name: trial-\(UUID())")
    }
    configuration = try Self.read(self.settings, kind, start: clock.now.wall)
    folder = FileManager.default.temporaryDirectory.appending(path: "sluice-conformance-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    var options = StoreOptions()
    options.durability = .system
    options.mapBytes = 1 << 30
    let clock = clock
    options.now = { clock.now.wall }
    store = try StreamStore.open(at: folder.appending(path: "store").path, options: options)
    _ = try store.performBlocking(.createStream(NewStream(name: "orders", recordByteLimit: 10 << 20, kind: kind)))
    handler = try ScriptedHandler(
      configuration.functions.map(\.name), in: folder, concurrency: 10,
      reportsItemFailures: configuration.mappings[0].reportsItemFailures,
      namesEveryFailure: configuration.mappings[0].namesEveryFailure, shows: shown)
  }

  private static let metrics: PrometheusRegistry = {
    let registry = PrometheusRegistry()
    MetricsSystem.bootstrap(registry)
    return registry
  }()

  /// The configuration file of a mapping with these settings.
  private static func read(_ settings: [String], _ kind: StreamKind, start now: WallTime) throws -> Configuration {
    // What a mapping has where the example says nothing else.
    let usual = ["stream: orders", "name: trial", "function: check", "StartingPosition: TRIM_HORIZON"]
      .filter { setting in !settings.contains { $0.prefix { $0 != ":" } == setting.prefix { $0 != ":" } } }
    let settings = (usual + settings).map { setting in
      // A moment so many seconds behind the beginning.
      guard let plus = setting.firstRange(of: "Timestamp: +"), let seconds = Int64(setting[plus.upperBound...]) else {
        return setting
      }
      return "StartingPositionTimestamp: \(now.milliseconds / 1_000 + seconds)"
    }
    return try ConfigurationReader.read(
      """
      streams:
        - { name: orders, kind: \(kind.rawValue), shards: 1, recordLimit: 10MiB }
      functions:
        - { name: check, command: [python3, handler.py], protocol: lines, concurrency: 10, timeout: 3s }
        - { name: other, command: [python3, handler.py], protocol: lines, concurrency: 10, timeout: 3s }
      mappings:
        -
      \(settings.map { "    \($0)\n" }.joined())
      """, source: "the example"
    ).configuration
  }

  /// Ends everything that runs for it.
  func end() async throws {
    await poller?.drain(isStopping: true)
    poller?.close()
    await handler.end()
    store.close()
    try FileManager.default.removeItem(at: folder)
  }

  func act(_ action: Example.Action) async throws {
    switch action {
    case .handler(let misbehaviour): try handler.tell(misbehaviour)
    case .put(let texts): try await put(texts)
    case .pass(let milliseconds): clock.advance(milliseconds: milliseconds)
    case .until(let count): invocationLimit = count
    case .start: try await start()
    case .change(let setting): try await change(setting)
    case .restart:
      await poller?.drain(isStopping: true)
      poller?.close()
      try await start()
    case .split:
      let shard = try shardsOfStream()[0].address
      _ = try await store.perform(.split(shard, at: HashKeyRange.evenly(2)[1].first))
    case .merge:
      let shards = try shardsOfStream().map(\.address)
      _ = try await store.perform(.merge(shards[1], with: shards[2].shard))
    }
  }

  /// Lets everything happen that is to happen, moving the clocks on when nothing happens without, and tells what did.
  func happenings() async throws -> [String] {
    if poller == nil { try await start() }
    while configuration.mappings[0].isEnabled {
      try Task.checkCancellation()
      guard let lanes = poller?.look(at: configuration.mappings[0].name)?.values.flatMap(\.self),
        try areAtRest(lanes)
      else {
        await Task.yield()
        continue
      }
      guard handler.invocations < invocationLimit,
        let due = (lanes.compactMap(\.snapshot.due) + lanes.flatMap(\.parkedKeys).compactMap(\.snapshot.due)).min()
      else { break }
      if let milliseconds = lanes.flatMap(backoffs).min() { handler.note("wait \(milliseconds) ms") }
      if shown.contains(.windows), let milliseconds = lanes.compactMap(window).min() {
        handler.note("window \(milliseconds) ms")
      }
      clock.advance(to: due)
    }
    invocationLimit = .max
    let notes = handler.takeNotes() + (try leavings()) + standing()
    return notes.isEmpty ? ["nothing"] : notes
  }

  /// What is to be shown of the mapping as it is now.
  private func standing() -> [String] {
    let name = configuration.mappings[0].name
    guard configuration.mappings[0].isEnabled else { return [] }
    var lines: [String] = []
    if shown.contains(.checkpoint) {
      let next = poller?.look(at: name)?.values.flatMap(\.self).map(\.snapshot.next).min() ?? .zero
      lines.append("checkpoint \(RecordIndex.zero.distance(to: next))")
    }
    if shown.contains(.metrics) { lines += metrics(of: name) }
    if shown.contains(.result) { lines.append("result \(poller?.lastResult(of: name)?.sentence ?? "none")") }
    return lines
  }

  /// The metrics of the mapping that are not 0, each on a line; of those that are spread, how often they were told.
  private func metrics(of mapping: String) -> [String] {
    Self.metrics.render().split(separator: "\n").compactMap { line in
      guard let labels = line.firstRange(of: #"{mapping="\#(mapping)"}"#), !line.hasSuffix(" 0") else { return nil }
      let name = line[..<labels.lowerBound]
      guard !name.hasSuffix("_sum") else { return nil }
      return "metric \(name.replacing("_count", with: ""))\(line[labels.upperBound...])"
    }
  }

  /// How long a lane waits from now for a batching window to end.
  private func window(_ lane: LaneLook) -> Int64? {
    guard lane.snapshot.state == .windowing, let due = lane.snapshot.due else { return nil }
    return (due.nanoseconds - clock.now.monotonic.nanoseconds) / 1_000_000
  }

  /// How long a lane, and each of its parked keys that fails, backs off from now.
  private func backoffs(_ lane: LaneLook) -> [Int64] {
    var dues = lane.parkedKeys.compactMap { $0.snapshot.failing == nil ? nil : $0.snapshot.due }
    if case .backingOff = lane.snapshot.state, let due = lane.snapshot.due { dues.append(due) }
    return dues.map { ($0.nanoseconds - clock.now.monotonic.nanoseconds) / 1_000_000 }
  }

  /// Whether only time, or somebody's doing, can move any of them.
  private func areAtRest(_ lanes: [LaneLook]) throws -> Bool {
    let shards = try shardsOfStream()
    // Those of shards that are new are opened after them.
    guard shards.allSatisfy({ shard in lanes.contains { $0.place.shard == shard.address } }) else { return false }
    return try lanes.allSatisfy { lane in
      guard let shard = shards.first(where: { $0.address == lane.place.shard }) else { return false }
      return try isAtRest(lane, of: shard, among: lanes)
    }
  }

  private func isAtRest(_ lane: LaneLook, of shard: ShardInfo, among lanes: [LaneLook]) throws -> Bool {
    guard lane.snapshot.unstoredBatchCount == 0 else { return false }
    // The timer has not come round to it yet.
    if let due = lane.snapshot.due, due <= clock.now.monotonic { return false }
    let now = clock.now.monotonic
    guard lane.parkedKeys.allSatisfy({ !$0.snapshot.isDelivering && $0.snapshot.due.map { $0 > now } ?? true }) else {
      return handler.isHanging
    }
    switch lane.snapshot.state {
    case .idle:
      // A lane that has not heard of the end of its shard yet will.
      guard shard.isOpen || !lane.parkedKeys.isEmpty else { return false }
      return try lane.snapshot.next >= store.shardBounds(lane.place.shard).end
    case .waitingForParents:
      // That the last of them is done becomes durable first.
      return lanes.contains { shard.parents.contains($0.place.shard.shard) && $0.snapshot.state != .finished }
    case .backingOff, .windowing, .holdingForKeys, .finished, .paused: return true
    case .delivering: return handler.isHanging
    default: return false
    }
  }

  /// The file gets this setting, instead of the one that it had. What the worker does then is decided by the rule of the
  /// parameter.
  private func change(_ setting: String) async throws {
    let name = setting.prefix { $0 != ":" }
    settings = settings.filter { $0.prefix { $0 != ":" } != name } + [setting]
    let former = configuration.mappings[0]
    configuration = try Self.read(settings, kind, start: clock.now.wall)
    let mapping = configuration.mappings[0]
    guard let rule = MappingParameter(rawValue: String(name))?.rule else {
      throw UnreadableExample(description: "no parameter \(name)")
    }
    guard former.isEnabled, mapping.isEnabled, rule.change != .afterDraining else {
      if former.isEnabled { await poller?.close(mapping: mapping.name, within: .seconds(60)) }
      return try await open()
    }
    try await poller?.change(plan())
  }

  /// A mapping that is not enabled is only known.
  private func open() async throws {
    let (mapping, function) = try parts()
    if mapping.isEnabled {
      try await poller?.add(plan())
    } else {
      try await StreamProcessor(store: store).note(EventSourceMapping(mapping, function), isConfigured: true)
    }
  }

  private func parts() throws -> (MappingConfiguration, FunctionConfiguration) {
    let mapping = configuration.mappings[0]
    guard let function = configuration.function(named: mapping.function) else {
      throw UnreadableExample(description: "no function \(mapping.function)")
    }
    return (mapping, function)
  }

  private func plan() throws -> MappingPlan {
    let (mapping, function) = try parts()
    var plan = try EventSourceMapping(mapping, function).plan(
      handler.function(function.name), on: store.catalog().stream(named: "orders"))
    // The waits of the document are those in the middle of the spread.
    plan.policy.retryBackoff.jitterPercent = 0
    plan.policy.systemBackoff.jitterPercent = 0
    return plan
  }

  private func start() async throws {
    let clock = clock
    let poller = StreamPoller(
      store: store, seed: 1, clock: { clock.now }, logger: Logger(label: "trial") { _ in SwiftLogNoOpLogHandler() })
    clock.observe { [weak poller] in poller?.clockWasSet() }
    self.poller = poller
    try await open()
  }

  private func put(_ texts: [String]) async throws {
    for text in texts {
      let routing = try store.routing(of: "orders")
      var request = AppendRequest(to: routing)
      let parts = text.split(separator: "/")
      // With `big`, an event beyond what a handler can take.
      let size = text.word == "big" ? 5 << 20 : text.word.hasPrefix("large") ? 2 << 20 : 0
      let padding = [UInt8](repeating: 0, count: size)
      let key = parts.count == 2 ? String(parts[0]) : "key"
      let data = routing.kind == .dynamodb ? Self.change(text, of: key) : Array(text.utf8) + padding
      try request.add(partitionKey: key, data: data)
      _ = try await store.append(request)
    }
  }

  /// An item with this text is new: in it as an attribute, so that filters can ask for it.
  private static func change(_ text: String, of key: String) -> [UInt8] {
    let image = #"{"id":{"S":"\#(key)"},"text":{"S":"\#(text)"}}"#
    return Array(
      #"{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"S":"\#(key)"}},"NewImage":\#(image),"StreamViewType":"NEW_IMAGE"}}"#
        .utf8)
  }

  private func shardsOfStream() throws -> [ShardInfo] {
    let catalog = try store.catalog()
    guard let stream = catalog.stream(named: "orders") else { throw UnreadableExample(description: "no stream") }
    return catalog.shards(of: stream.number)
  }

  /// The failure entries since this was last asked.
  private func leavings() throws -> [String] {
    let summaries = try store.failures(after: failuresSeen, limit: 1_000)
    failuresSeen = summaries.last?.number ?? failuresSeen
    return try summaries.flatMap { summary in
      guard let entry = try store.failure(summary.number) else {
        throw UnreadableExample(description: "entry \(summary.number) is gone")
      }
      // A batch that is delivered again keeps its id, and another batch has another one.
      let last = summary.history.last?.batch
      let own = summary.history.filter { $0.batch?.first == last?.first && $0.batch?.count == last?.count }
      let ids = Set(own.map(\.requestID)).count
      let line =
        "leaves \(summary.condition.name) after \(summary.attempts), \(ids) id\(ids == 1 ? "" : "s"): \(words(of: entry))"
      return try [line] + (shown.contains(.documents) ? [document(of: entry)] : [])
        + (shown.contains(.layouts) ? layouts(of: entry) : [])
    }
  }

  private func words(of entry: FailureEntry) -> String {
    guard entry.records.count > 0 else { return "final" }
    let origin = BatchOrigin(stream: "orders", shard: ShardNumber(0), shardCreatedAtSeconds: 0, attempt: 1)
    return RecordBatch(origin: origin, run: entry.records, range: 0..<entry.records.count).texts.joined(separator: " ")
  }

  /// What its failure document says of the calls and of the answer to the last one.
  private func document(of entry: FailureEntry) throws -> String {
    struct Document: Decodable {
      var requestContext: Context
      var responseContext: Response?

      struct Context: Decodable {
        var condition: String
        var approximateInvokeCount: Int
      }

      struct Response: Decodable {
        var statusCode: Int
        var functionError: String?
      }
    }
    let bytes = try documents().document(for: entry).encoded()
    let document = try JSONDecoder().decode(Document.self, from: Data(bytes))
    let response = document.responseContext.map {
      "status \($0.statusCode), functionError \($0.functionError ?? "null")"
    }
    let context = document.requestContext
    return "document \(context.condition), approximateInvokeCount \(context.approximateInvokeCount), "
      + (response ?? "no responseContext")
  }

  private func documents() throws -> EntryDocuments {
    let catalog = try store.catalog()
    guard let mapping = catalog.mapping(named: configuration.mappings[0].name),
      let stream = catalog.stream(named: "orders")
    else { throw UnreadableExample(description: "no mapping") }
    return EntryDocuments(mapping: mapping, stream: stream, function: configuration.mappings[0].function)
  }

  /// The document without, and with the records, as it is but for what differs from run to run.
  private func layouts(of entry: FailureEntry) throws -> [String] {
    let documents = try documents()
    return [("queue", false), ("bucket", true)].map { place, includesPayload in
      var text = String(decoding: documents.encoded(entry, includesPayload: includesPayload), as: UTF8.self)
      for (pattern, name) in Self.passing { text = text.replacing(pattern, with: name) }
      return "\(place) \(text)"
    }
  }

  /// What is another in each run, and what stands in its place.
  private static var passing: [(Regex<Substring>, String)] {
    [
      (/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/, "UUID"),
      (/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/, "MILLISECONDS"),
      (/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/, "SECONDS"),
      (/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}/, "LABEL"),
      (/\d{21,56}/, "NUMBER"),
      (/\d{10}\.\d{1,3}/, "TIME"),
      (/1\.\d+E9/, "TIME"),
      (/[0-9a-f]{32}/, "ID"),
    ]
  }
}
