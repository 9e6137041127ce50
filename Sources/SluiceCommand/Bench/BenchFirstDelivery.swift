import ArgumentParser
import Logging
import Sluice
import StreamModel
import StreamRuntime
import StreamStore

/// The process that `bench start` measures.
struct BenchFirstDelivery: AsyncParsableCommand {
  static let name = "first-delivery"
  static let configuration = CommandConfiguration(
    commandName: name, abstract: "Opens a store, delivers once, and tells when.", shouldDisplay: false)

  /// A store without a backlog never delivers.
  private static let patience = Duration.seconds(60)

  @Argument(help: "The store.") var store: String
  @Option(help: "commit, interval or system.") var durability: BenchDurability = .commit

  func run() async throws {
    let begun = SystemClock.monotonic()
    let opened = try Connection.open(store, role: .writer, options: durability.storeOptions)
    let openedAt = SystemClock.monotonic()
    let deliveries = AsyncStream<MonotonicTime>.makeStream(bufferingPolicy: .bufferingOldest(1))
    var processor = StreamProcessor(store: opened)
    processor.logger.logLevel = .error
    // Nothing is ever finished: handlers wait until the drain cancels them, at once. So every process finds the same
    // backlog as the first.
    processor.drainLimit = .zero
    processor.map(EventSourceMapping("start", stream: BenchStore.stream, from: .trimHorizon)) { _ in
      deliveries.continuation.yield(SystemClock.monotonic())
      try await Task.sleep(for: Self.patience)
      return .succeeded
    }
    let running = processor
    let task = Task {
      defer { deliveries.continuation.finish() }
      try await running.run()
    }
    let deadline = Task {
      try await Task.sleep(for: Self.patience)
      deliveries.continuation.finish()
    }
    let first = await deliveries.stream.first { _ in true }
    deadline.cancel()
    let residentBytes = ResidentMemory.bytes()
    task.cancel()
    try await task.value
    guard let first else {
      throw Problem(Exit.failed, "Nothing was delivered for \(Self.patience): does \(store) have a backlog?")
    }
    try printJSON(
      StartMoments(
        begun: begun.nanoseconds, opened: openedAt.nanoseconds, delivered: first.nanoseconds,
        residentBytes: residentBytes))
  }
}

/// When a started process came how far: nanoseconds of the machine's monotonic clock, which all processes share.
struct StartMoments: Codable {
  /// Just before the process was started; its parent knows it.
  var started: Int64?
  /// The command runs: the program is loaded and its arguments are read.
  var begun: Int64
  /// The store is open.
  var opened: Int64
  /// The handler was called.
  var delivered: Int64
  /// Memory without the mapped file, after the first delivery.
  var residentBytes: Int
}
