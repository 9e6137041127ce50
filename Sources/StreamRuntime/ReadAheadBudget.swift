import Synchronization

/// How many bytes of records each lane may read beyond its batch, so that all lanes together stay within a limit.
///
/// A few lanes get long runs and leave the store alone for many batches; a thousand lanes get short ones. Without the
/// shared limit a thousand busy lanes spent most of their time on first touches of fresh memory.
final class ReadAheadBudget: Sendable {
  /// All lanes of a poller together, in bytes.
  static let totalByteLimit = 16 << 20
  /// One lane, in bytes.
  static let laneByteLimit = 1 << 20

  private let laneCount = Atomic<Int>(0)

  func addLane() {
    laneCount.add(1, ordering: .relaxed)
  }

  func removeLane() {
    laneCount.subtract(1, ordering: .relaxed)
  }

  /// The bytes that a lane may read ahead now.
  var bytesPerLane: Int {
    min(Self.laneByteLimit, Self.totalByteLimit / max(1, laneCount.load(ordering: .relaxed)))
  }
}
