import AsyncHTTPClient
import Destinations
import Foundation
import HTTPTypes
import Hummingbird
import Locks
import Logging
import NIOCore
import StreamModel
import StreamRuntime
import StreamStore
import Testing

/// What destinations do with an entry of a real store.
@Suite("Destinations: a directory, an HTTP endpoint", .timeLimit(.minutes(10)))
struct DestinationTests {
  @Test("a document comes to its place as a whole, and a second time to the same one")
  func directory() async throws {
    let stage = try EntryStage()
    let path = stage.folder.appending(path: "a/b").path
    let destination = DirectoryDestination(path: path, documents: stage.documents)
    // Of the path only the last folder is made: a disk that is not mounted must not be written beside.
    await #expect(throws: DestinationFailure.self) { try await destination.accept(stage.entry) }
    try FileManager.default.createDirectory(
      at: stage.folder.appending(path: "a"), withIntermediateDirectories: true)
    let file = try await destination.accept(stage.entry)
    #expect(file == "\(path)/\(stage.documents.key(for: stage.entry.summary))")
    let expected = stage.documents.document(for: stage.entry).encoded(
      payload: stage.documents.event(of: stage.entry))
    #expect(try Data(contentsOf: URL(filePath: file)) == Data(expected))
    #expect(try await destination.accept(stage.entry) == file)
    let files = try #require(FileManager.default.enumerator(atPath: path)).compactMap { $0 as? String }
    #expect(files.filter { !$0.hasSuffix("/") && $0.contains("T") }.count == 1)
  }

  @Test("what a crash left half written is no document, and is overwritten")
  func partial() async throws {
    let stage = try EntryStage()
    let destination = DirectoryDestination(path: stage.folder.path, documents: stage.documents)
    let file = try await destination.accept(stage.entry)
    try FileManager.default.moveItem(atPath: file, toPath: file + ".partial")
    try Data("half".utf8).write(to: URL(filePath: file + ".partial"))
    #expect(try await destination.accept(stage.entry) == file)
    #expect(try Data(contentsOf: URL(filePath: file)).count > 500)
    #expect(!FileManager.default.fileExists(atPath: file + ".partial"))
  }

  @Test("without a payload the document is that of a queue")
  func withoutPayload() async throws {
    let stage = try EntryStage()
    let destination = DirectoryDestination(
      path: stage.folder.path, documents: stage.documents, includesPayload: false)
    let file = try await destination.accept(stage.entry)
    let text = try String(contentsOfFile: file, encoding: .utf8)
    #expect(!text.contains("payload"))
    #expect(text.contains(#""batchSize":2"#))
  }

  @Test("of a table's changes: the sequence numbers, the name and the event that the function got")
  func changes() async throws {
    func change(_ number: String) -> String {
      #"{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"S":"a"}},\#(number)"StreamViewType":"KEYS_ONLY"}}"#
    }
    let stage = try EntryStage(
      .dynamodb, [change(""), change(#""SequenceNumber":"4000000000000000012345","#)])
    let file = try await DirectoryDestination(path: stage.folder.path, documents: stage.documents).accept(stage.entry)
    let document = try #require(
      try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: file))) as? [String: Any])
    let block = try #require(document["DDBStreamBatchInfo"] as? [String: Any])
    let seconds = "\(stage.entry.summary.shardCreatedAtSeconds)"
    #expect(block["startSequenceNumber"] as? String == seconds + String(repeating: "0", count: 20))
    #expect(block["endSequenceNumber"] as? String == "4000000000000000012345")
    let arn = try #require(block["streamArn"] as? String)
    #expect(arn.hasPrefix("arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/20"))
    let payload = try #require(document["payload"] as? String)
    let event = try #require(try JSONSerialization.jsonObject(with: Data(payload.utf8)) as? [String: Any])
    let records = try #require(event["Records"] as? [[String: Any]])
    #expect(records.map { $0["eventSourceARN"] as? String } == [arn, arn])
    #expect(
      records.map { ($0["dynamodb"] as? [String: Any])?["SequenceNumber"] as? String } == [
        block["startSequenceNumber"] as? String, "4000000000000000012345",
      ])
  }

  struct Answer: CustomTestStringConvertible {
    var status: Int
    var headers: [String: String] = [:]
    /// `nil`: it is accepted.
    var failure: DestinationFailure?

    var testDescription: String { "\(status) \(headers)" }
  }

  @Test(
    "2xx accepts; 429 and 503 may say when to come again; everything else fails, redirects too",
    arguments: [
      Answer(status: 200), Answer(status: 202), Answer(status: 204),
      Answer(status: 500, headers: ["retry-after": "7"], failure: DestinationFailure("it answered 500: why")),
      Answer(status: 404, failure: DestinationFailure("it answered 404: why")),
      Answer(status: 302, headers: ["location": "/ok"], failure: DestinationFailure("it answered 302: why")),
      Answer(status: 303, headers: ["location": "/ok"], failure: DestinationFailure("it answered 303: why")),
      Answer(status: 429, failure: DestinationFailure("it answered 429: why")),
      Answer(
        status: 429, headers: ["retry-after": "7"],
        failure: DestinationFailure("it answered 429: why", retryAfterMilliseconds: 7_000)),
      Answer(
        status: 503, headers: ["retry-after": "120"],
        failure: DestinationFailure("it answered 503: why", retryAfterMilliseconds: 120_000)),
      Answer(
        status: 503, headers: ["retry-after": "\(Int64.max)"],
        failure: DestinationFailure("it answered 503: why", retryAfterMilliseconds: .max)),
      Answer(
        status: 503, headers: ["retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"],
        failure: DestinationFailure("it answered 503: why")),
      Answer(status: 503, headers: ["retry-after": "-1"], failure: DestinationFailure("it answered 503: why")),
    ])
  func http(answer: Answer) async throws {
    let stage = try EntryStage()
    try await withServer(answer) { url, requests in
      let destination = HTTPDestination(url: url, documents: stage.documents)
      do {
        #expect(try await destination.accept(stage.entry) == url)
        #expect(answer.failure == nil)
      } catch let failure as DestinationFailure {
        #expect(failure == answer.failure)
      }
      let request = try #require(requests.all.first)
      #expect(requests.all.count == 1)
      let key = stage.documents.key(for: stage.entry.summary)
      #expect(request.headers["content-type"] == "application/json")
      #expect(request.headers["sluice-document-id"] == key.documentID)
      #expect(request.headers["sluice-object-key"] == key.description)
      let expected = stage.documents.document(for: stage.entry).encoded(
        payload: stage.documents.event(of: stage.entry))
      #expect(request.body == expected)
    }
  }

  @Test("nobody there, and nobody who answers in time, are failures")
  func noAnswer() async throws {
    let stage = try EntryStage()
    // Port 9 of this machine: nobody discards anything here.
    let nobody = HTTPDestination(url: "http://127.0.0.1:9/", documents: stage.documents)
    let failure = await #expect(throws: DestinationFailure.self) { try await nobody.accept(stage.entry) }
    #expect(failure?.message.hasPrefix("no answer: ") == true)
    try await withServer(nil) { url, _ in
      let slow = HTTPDestination(url: url, documents: stage.documents, timeoutMilliseconds: 50)
      await #expect(throws: DestinationFailure.self) { try await slow.accept(stage.entry) }
    }
  }

  struct Received: Sendable {
    var headers: [String: String]
    var body: [UInt8]
  }

  /// What a server got.
  private final class Inbox: Sendable {
    private let received = Mutex<[Received]>([])

    var all: [Received] { received.withLock { $0 } }

    func add(_ one: Received) { received.withLock { $0.append(one) } }
  }

  /// Calls `body` with the address of a server that gives this answer, or none.
  private func withServer(
    _ answer: Answer?, _ body: @escaping @Sendable (String, Inbox) async throws -> Void
  ) async throws {
    let requests = Inbox()
    let router = Router()
    router.post("/failures") { request, _ in
      var headers: [String: String] = [:]
      for field in request.headers { headers[field.name.canonicalName] = field.value }
      let bytes = Array(try await request.body.collect(upTo: 1 << 20).readableBytesView)
      let received = Received(headers: headers, body: bytes)
      requests.add(received)
      guard let answer else {
        for await _ in AsyncStream<Never>.makeStream().stream {}
        return Response(status: .ok)
      }
      var response = Response(
        status: .init(code: answer.status),
        body: answer.status == 204 ? .init() : .init(byteBuffer: ByteBuffer(string: "why")))
      for (name, value) in answer.headers {
        if let name = HTTPField.Name(name) { response.headers[name] = value }
      }
      return response
    }
    router.get("/ok") { _, _ in Response(status: .ok) }
    let (ports, port) = AsyncStream.makeStream(of: Int.self)
    let application = Application(
      router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)),
      onServerRunning: { port.yield($0.localAddress?.port ?? 0) },
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await application.run() }
      for await port in ports {
        try await body("http://127.0.0.1:\(port)/failures", requests)
        break
      }
      group.cancelAll()
    }
  }
}

/// A store with one failure entry of two records.
private final class EntryStage: Sendable {
  let folder: URL
  let entry: FailureEntry
  let documents: EntryDocuments

  init(_ kind: StreamKind = .kinesis, _ texts: [String] = ["a", "b"]) throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "sluice-destinations-\(UUID())")
    let path = folder.appending(path: "data").path
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    var options = StoreOptions()
    options.durability = .system
    options.mapBytes = 1 << 28
    let store = try StreamStore.open(at: path, options: options)
    defer { store.close() }
    guard case .stream(let stream) = try store.performBlocking(.createStream(NewStream(name: "orders", kind: kind))),
      case .mapping(let mapping) = try store.performBlocking(.storeMapping(name: "m", settings: []))
    else { preconditionFailure("creating answers with what was created") }
    var request = AppendRequest(to: try store.routing(of: "orders"))
    for text in texts { try request.add(partitionKey: "k", data: Array(text.utf8)) }
    _ = try store.appendBlocking(request)
    let address = ShardAddress(stream: stream.number, shard: ShardNumber(0))
    guard
      case .records(let found) = try store.read(
        address, from: .zero, countLimit: 2, payloadByteLimit: 1 << 20, recordOverheadBytes: 0)
    else { preconditionFailure("what was put is there") }
    let now = WallTime(milliseconds: 1_789_649_401_123)
    var summary = FailureSummary(
      mapping: mapping.number, mappingName: "m", streamName: "orders", address: address,
      shardCreatedAtSeconds: try store.shard(address).createdAtSeconds, firstIndex: .zero, lastIndex: RecordIndex(1),
      firstArrival: now, lastArrival: now, condition: .retryAttemptsExhausted, attempts: 1, history: [], createdAt: now)
    summary.delivery = .pending(since: now)
    guard
      case .number(let number) = try store.performBlocking(
        .storeFailure(NewFailure(summary: summary, run: found.run, range: 0..<2))),
      let entry = try store.failure(number)
    else { preconditionFailure("what was stored is there") }
    self.entry = entry
    documents = EntryDocuments(mapping: mapping, stream: stream, function: "f")
  }

  deinit { try? FileManager.default.removeItem(at: folder) }
}
