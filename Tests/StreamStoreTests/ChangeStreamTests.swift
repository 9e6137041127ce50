import StreamModel
import StreamStore
import Testing

@Suite("Streams of the changes of a table")
struct ChangeStreamTests {
  private static func change(_ item: String) -> [UInt8] {
    Array(
      #"{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"S":"\#(item)"}},"StreamViewType":"KEYS_ONLY"}}"#.utf8)
  }

  @Test("a stream keeps its kind, and one that was made without is one of Kinesis")
  func kind() throws {
    let folder = TemporaryStore()
    do {
      let store = try folder.open()
      defer { store.close() }
      try store.performBlocking(.createStream(NewStream(name: "changes", kind: .dynamodb)))
      try store.performBlocking(.setRetention(StreamNumber(1), milliseconds: 172_800_000))
      _ = try store.create("orders")
    }
    let store = try folder.open(role: .looker)
    let catalog = try store.catalog()
    #expect(catalog.stream(named: "changes")?.kind == .dynamodb)
    #expect(catalog.stream(named: "orders")?.kind == .kinesis)
    #expect(try store.check().problems.isEmpty)
  }

  @Test("it takes changes and nothing else, and says which record breaks which rule")
  func checked() throws {
    let folder = TemporaryStore()
    let store = try folder.open()
    defer { store.close() }
    try store.performBlocking(.createStream(NewStream(name: "changes", kind: .dynamodb)))
    var request = AppendRequest(to: try store.routing(of: "changes"))
    try request.add(partitionKey: "a", data: Self.change("a"))
    do throws(StoreError) {
      try request.add(partitionKey: "b", data: Array(#"{"eventName":"UPDATE"}"#.utf8))
      Issue.record("it was taken")
    } catch {
      #expect(
        error
          == .invalid(
            InvalidValue(
              field: "eventName", value: #""UPDATE""#, rule: "it is one of INSERT, MODIFY, REMOVE", position: 1)))
    }
    // What was right before is still there.
    #expect(try store.appendBlocking(request).count == 1)
  }

  @Test("a batch counts a change as it stands and its key not at all")
  func sizing() throws {
    let folder = TemporaryStore()
    let store = try folder.open()
    defer { store.close() }
    try store.performBlocking(.createStream(NewStream(name: "changes", kind: .dynamodb)))
    var request = AppendRequest(to: try store.routing(of: "changes"))
    for _ in 0..<10 { try request.add(partitionKey: "key", data: Self.change("a")) }
    _ = try store.appendBlocking(request)
    let address = ShardAddress(stream: StreamNumber(1), shard: ShardNumber(0))
    let size = Self.change("a").count + 100
    guard
      case .records(let found) = try store.read(
        address, from: .zero, countLimit: 10, payloadByteLimit: 3 * size + 1,
        recordOverheadBytes: RecordSizing(overhead: 100, takesDataAsItIs: true))
    else { throw StoreError.noSuchShard(address) }
    #expect(found.batch.count == 3 && found.batch.payloadBytes == 3 * size && found.batch.isFull)
  }
}
