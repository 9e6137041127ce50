import ArgumentParser
import Foundation
import LambdaRuntime
import Locks
import Logging
import Sluice
import StreamModel
import StreamStore

struct Demo: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "A one-minute story with real flights: a shard goes red, is explained, and is freed.",
    discussion: "Works on a store of its own in the temporary folder, and needs python3.\n\nExample: sluice demo")

  func run() async throws {
    let story = try DemoStory()
    defer { story.cleanUp() }
    try await story.tell()
  }
}

/// The story, chapter by chapter. Everything in it happens: the store, the Python handler and the waits are real.
struct DemoStory {
  private let folder: URL
  private let handlerFile: URL
  private let store: StreamStore
  private let begun = ContinuousClock.now
  private let deliveries = DeliveryLog()

  private static let stream = "flights"
  private static let mapping = "flights-delays"
  /// Longer than any chapter can take; a story that waits longer has gone wrong.
  private static let patience = Duration.seconds(30)

  init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "sluice-demo-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    handlerFile = folder.appending(path: "delays.py")
    store = try Connection.open(folder.appending(path: "data").path, role: .writer)
  }

  func cleanUp() {
    store.close()
    // A temporary folder that cannot be removed is left to the system.
    try? FileManager.default.removeItem(at: folder)
  }

  func tell() async throws {
    try await putFlights()
    try Data(DemoHandlers.delays.utf8).write(to: handlerFile)
    try await whileRunning { operating in
      try await shardGoesRed(operating)
      try await explain(operating)
      try await batchExpires(operating)
    }
    try await mendAndRedrive()
    let seconds = Int((ContinuousClock.now - begun).inSeconds.rounded())
    say("Done in \(seconds) seconds. Nothing was lost, and no shard waited for another.")
    say("Next: the first five minutes in the README, with a worker of your own.")
  }

  // MARK: - Chapters

  private func putFlights() async throws {
    title("1. Records go into ordered, durable shards")
    let operating = StoreOperator(store: store)
    _ = await operating.perform(
      .createStream(name: Self.stream, shards: 4, retentionMilliseconds: 86_400_000, recordByteLimit: 1_048_576))
    let lines = RecordLines(key: .field("tailnum"), missingKey: "none", recordByteLimit: 1_048_576)
    var packed: [UInt8] = []
    var number = 0
    for line in DemoFlights.lines.split(separator: "\n") {
      number += 1
      try lines.append(ArraySlice(line.utf8), number: number, to: &packed)
    }
    guard case .stored(let report) = await operating.put(packed, into: Self.stream) else {
      throw Problem(Exit.failed, "The demo could not put its flights.")
    }
    say("\(report.records) real flights from New York, January 2013, keyed by aircraft, into 4 shards:")
    for shard in report.shards { print("    \(shard.shard)  \(Text.records(shard.records))") }
  }

  private func shardGoesRed(_ operating: StoreOperator) async throws {
    title("2. A Python handler gets them in batches, and one flight was cancelled")
    say("delays.py subtracts departure times. A cancelled flight has none, so its batch fails and blocks its shard.")
    let report = try await wait("a shard that is blocked, and the others done", operating) { status in
      let lanes = status.mappings.flatMap(\.lanes)
      return lanes.contains { $0.state == .retrying && $0.attemptsMade >= 3 && $0.nextAttemptAt != nil }
        && lanes.count { $0.backlogRecords == 0 } == 3
    }
    command("sluice status")
    print(indented(StatusText.render(report)))
  }

  private func explain(_ operating: StoreOperator) async throws {
    title("3. Why is it stuck, and what happens next?")
    command("sluice explain \(Self.mapping)")
    guard case .lanes(let lanes) = await operating.perform(.explain(mapping: Self.mapping, shard: nil)) else {
      throw Problem(Exit.failed, "The demo could not explain its lanes.")
    }
    for lane in lanes { print(indented(ExplainText.render(lane, now: now()))) }
  }

  private func batchExpires(_ operating: StoreOperator) async throws {
    title("4. The batch uses up its attempts: out of the way, but not lost")
    let report = try await wait("the batch to give up and the shard to go on", operating) { status in
      status.mappings.contains { $0.failureEntries > 0 && $0.lanes.allSatisfy { $0.backlogRecords == 0 } }
    }
    command("sluice status")
    print(indented(StatusText.render(report)))
    command("sluice failures show 1")
    guard case .failure(let entry, let records) = await operating.perform(.showFailure(entry: 1)) else {
      throw Problem(Exit.failed, "The demo could not show its failure entry.")
    }
    say("Entry \(entry.entry): \(Text.records(entry.records)) with payload, \(entry.attemptsMade) attempts on record.")
    for record in records where record.text?.contains("\"dep_time\":null") == true {
      print("    \(record.partitionKey)  \(record.text ?? "")")
    }
  }

  private func mendAndRedrive() async throws {
    title("5. Mend the handler, and deliver the failures again, in order")
    try Data(DemoHandlers.fixed.utf8).write(to: handlerFile)
    say("The worker drained, delays.py now knows that a cancelled flight has no delay, and the worker is back.")
    try await whileRunning { operating in
      _ = try await wait("the worker", operating) { $0.mappings.contains { $0.isRunning } }
      let query = FailureQuery(mapping: Self.mapping)
      command("sluice failures redrive --mapping \(Self.mapping)")
      try show(await operating.perform(.redrive(query, consent: Consent(actor: "demo", isApplied: false))))
      command("sluice failures redrive --mapping \(Self.mapping) --yes")
      deliveries.clear()
      try show(await operating.perform(.redrive(query, consent: Consent(actor: "demo", isApplied: true))))
      _ = try await wait("the failures to be delivered", operating) { status in
        status.mappings.allSatisfy { $0.failureEntries == 0 }
      }
      for line in deliveries.lines { print("    \(line)") }
      command("sluice failures list")
      print("    no failures")
    }
  }

  // MARK: - Machinery

  /// Runs the mapping while `body` looks at it, then drains it.
  private func whileRunning(_ body: (StoreOperator) async throws -> Void) async throws {
    var quiet = Logger(label: "demo")
    quiet.logLevel = .critical
    let pool = LineProcessPool(HandlerCommand(["python3", handlerFile.path]), concurrency: 4, logger: quiet)
    var mapping = EventSourceMapping(Self.mapping, stream: Self.stream, from: .trimHorizon)
    mapping.batch = .init(upTo: 10)
    mapping.retry = .init(attempts: 4)
    mapping.concurrency = 4
    mapping.unstoredBatchLimit = EventSourceMapping.unstoredBatchLimitOfProcesses
    var processor = StreamProcessor(store: store)
    processor.logger = quiet
    processor.map(mapping, to: LoggingHandler(handler: LineProcessHandler(pool: pool), log: deliveries))
    let running = processor
    let task = Task { try await running.run() }
    do {
      let worker = WorkerReport(processID: ProcessInfo.processInfo.processIdentifier, address: nil)
      try await body(StoreOperator(store: store, poller: { running.poller }, worker: worker))
    } catch {
      task.cancel()
      throw error
    }
    task.cancel()
    try await task.value
    await pool.shutdown()
  }

  /// Looks every tenth of a second until the status is as wanted.
  private func wait(
    _ what: String, _ operating: StoreOperator, until isThere: (StatusReport) -> Bool
  ) async throws -> StatusReport {
    let deadline = ContinuousClock.now + Self.patience
    while true {
      let report = try operating.status()
      if isThere(report) { return report }
      guard ContinuousClock.now < deadline else {
        throw Problem(Exit.failed, "The demo waited in vain for \(what). Is python3 installed?")
      }
      try await Task.sleep(for: .milliseconds(100))
    }
  }

  private func show(_ answer: OperatorAnswer) throws {
    guard case .action(let report) = answer else { throw Problem(answer) }
    for effect in report.effects { print("    \(effect)") }
    if !report.isApplied { print("    Nothing was changed. Add --yes to do it.") }
  }

  private func title(_ text: String) { print("\n\(text)\n\(String(repeating: "─", count: text.count))") }
  private func say(_ text: String) { print("  \(text)") }
  private func command(_ text: String) { print("\n  $ \(text)") }

  private func indented(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).map { $0.isEmpty ? "" : "    \($0)" }
      .joined(separator: "\n")
  }

  private func now() -> Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }
}

/// Notes what a handler got, in the order it got it.
private struct LoggingHandler: BatchHandler {
  let handler: any BatchHandler
  let log: DeliveryLog

  func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
    let outcome = try await handler.handle(batch)
    log.append(batch)
    return outcome
  }
}

/// What was delivered, one line a record.
private final class DeliveryLog: Sendable {
  private let state = Mutex<[String]>([])

  var lines: [String] { state.withLock { $0 } }

  func clear() { state.withLock { $0.removeAll() } }

  func append(_ batch: RecordBatch) {
    for position in 0..<batch.count {
      let number = batch.sequenceNumber(at: position).description
      let line = "\(Text.short(number))  \(batch[position].partitionKey)  delivered"
      state.withLock { $0.append(line) }
    }
  }
}
