import Foundation
import Logging
import StreamModel
import StreamStore

/// A folder of one test with a store in it that has a stream `orders` of one shard.
final class TestStore: Sendable {
  let path: String
  let store: StreamStore

  init() throws {
    path = FileManager.default.temporaryDirectory.appending(path: "sluice-operator-\(UUID())").path
    var options = StoreOptions()
    options.durability = .system
    options.mapBytes = 1 << 30
    store = try StreamStore.open(at: path, options: options)
    _ = try store.performBlocking(.createStream(NewStream(name: "orders")))
  }

  deinit {
    store.close()
    try? FileManager.default.removeItem(atPath: path)
  }

  var stream: StreamNumber {
    get throws {
      guard let stream = try store.catalog().stream(named: "orders") else { throw Unexpected() }
      return stream.number
    }
  }

  func put(_ text: String) async throws {
    var request = AppendRequest(to: try store.routing(of: "orders"))
    try request.add(partitionKey: "key", data: Array(text.utf8))
    _ = try await store.append(request)
  }
}

extension Logger {
  static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}
