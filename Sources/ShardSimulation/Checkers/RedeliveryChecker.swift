import ShardCore
import StreamModel

/// Redeliveries are told: each record that was delivered before, and, except after a worker that did not end well, no
/// other.
enum RedeliveryChecker {
  /// Of one record of a batch, at `position`.
  static func check(
    _ told: Redelivery?, at position: Int, wasDelivered: Bool, blocksByKey: Bool
  ) -> StaticString? {
    // What such a lane tells depends on attempts, which a retry rule may count without a call.
    guard !blocksByKey else { return nil }
    let isTold = told.map { position < $0.count } ?? false
    if wasDelivered, !isTold { return "a record was delivered again, and nobody says so" }
    return !wasDelivered && isTold && told?.cause != .restart
      ? "a record is said to come again that was never delivered" : nil
  }
}
