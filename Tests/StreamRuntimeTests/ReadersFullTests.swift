import Dispatch
import Foundation
import LMDB
import Logging
import ShardCore
import StreamModel
import StreamRuntime
import Testing

@testable import StreamStore

@Suite("Stream poller: no room for another reader", .timeLimit(.minutes(10)))
struct ReadersFullTests {
  @Test("puts go on, a lane that cannot read says so and tries again, and delivers when there is room")
  func recovers() async throws {
    let (refusals, refused) = AsyncStream<String>.makeStream()
    let stage = try Stage(logger: Logger(label: "test") { _ in ErrorLines(said: refused) }) { $0.readerLimit = 4 }
    let routing = try stage.store.routing(of: "orders")
    let poller = try await stage.poller()
    try await stage.put(["before"])
    #expect(await stage.next()?.data == ["before"])

    let held = await HeldReaders(of: stage.store)
    var request = AppendRequest(to: routing)
    try request.add(partitionKey: "key", data: Array("while full".utf8))
    _ = try await stage.store.append(request)
    #expect(throws: StoreError.readersFull) { try stage.store.failures(limit: 1) }
    for await line in refusals {
      #expect(line == "the store could not be read: \(StoreError.readersFull)")
      break
    }
    await held.release()

    #expect(await stage.next()?.data == ["while full"])
    await poller.end()
    #expect(try stage.stored()?.progress.next == RecordIndex(2))
    #expect(stage.all.count == 2)
  }
}

/// Holds all places for readers that a store has left.
private final class HeldReaders: Sendable {
  private let mayEnd = DispatchSemaphore(value: 0)
  private let ended: AsyncStream<Void>

  init(of store: StreamStore) async {
    let (begun, didBegin) = AsyncStream<Void>.makeStream()
    let (ended, didEnd) = AsyncStream<Void>.makeStream()
    self.ended = ended
    let mayEnd = mayEnd
    // A thread of its own: reads end where they begin, and nothing of the tests' shall stand still meanwhile.
    Thread.detachNewThread {
      Self.read(store.environment) {
        didBegin.finish()
        mayEnd.wait()
      }
      didEnd.finish()
    }
    for await _ in begun {}
  }

  func release() async {
    mayEnd.signal()
    for await _ in ended {}
  }

  /// Reads inside reads until no other is let in, and there does `body`.
  private static func read(_ environment: Environment, _ body: () -> Void) {
    do {
      try environment.read { _ throws(LMDBError) in read(environment, body) }
    } catch {
      #expect(error == .readersFull)
      body()
    }
  }
}

/// Tells errors, with what is said to be one.
private struct ErrorLines: LogHandler {
  let said: AsyncStream<String>.Continuation
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.error

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    said.yield("\(event.message): \(event.metadata?["error"].map { "\($0)" } ?? "")")
  }
}
