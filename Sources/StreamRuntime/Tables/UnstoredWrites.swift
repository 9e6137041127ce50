import Locks
import StreamModel

/// The bytes of writes that wait to become durable, over all lanes of a process.
final class UnstoredWrites: Sendable {
  private let bytes = Mutex(0)
  private let limit: Int

  init(limit: Int = TableLimits.unstoredBytes) {
    self.limit = limit
  }

  /// No handler is called that could write more.
  var isFull: Bool { bytes.withLock { $0 } >= limit }

  func add(_ count: Int) {
    guard count != 0 else { return }
    bytes.withLock { $0 += count }
  }
}
