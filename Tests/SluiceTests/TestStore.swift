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

  /// Flips a bit of each place in the data file where this text stands.
  func damage(_ text: String) throws {
    let file = URL(filePath: path).appending(path: "data.mdb")
    let bytes = try Data(contentsOf: file)
    let handle = try FileHandle(forUpdating: file)
    var start = bytes.startIndex
    while let found = bytes.range(of: Data(text.utf8), in: start..<bytes.endIndex) {
      try handle.seek(toOffset: UInt64(found.lowerBound))
      try handle.write(contentsOf: Data([bytes[found.lowerBound] ^ 1]))
      start = found.upperBound
    }
    try handle.close()
    guard start != bytes.startIndex else { throw Unexpected() }
  }

  func put(_ text: String, key: String = "key") async throws {
    var request = AppendRequest(to: try store.routing(of: "orders"))
    try request.add(partitionKey: key, data: Array(text.utf8))
    _ = try await store.append(request)
  }
}

extension Logger {
  static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}
