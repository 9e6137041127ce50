import ShardCore
import StreamModel

/// Knows of one lane which of its records were delivered before. A few numbers; nothing is kept of a record.
struct RedeliveryTracker {
  /// Every record of the lane before this one was delivered since the lane was opened.
  private var deliveredEnd = RecordIndex.zero
  /// Why a batch that begins before that is a new one.
  private var cut = Redelivery.Cause.partialFailure
  /// Records to come first that were delivered before the lane was opened, or may have been.
  private var owed: Int
  private let owedCause: Redelivery.Cause
  /// Records from here on came after the lane was opened.
  private let openedAt: RecordIndex
  /// Keys of the lane are delivered out of order, or may be: only that a delivery is another attempt is known then.
  private let blocksByKey: Bool

  /// `pieces` are the counts of the frozen batches that the lane found, and `suspects` how many records may have been in
  /// flight when the last worker ended; they stand before `end`.
  init(pieces: [Int], suspects: Int, before end: RecordIndex, bisects: Bool, blocksByKey: Bool) {
    openedAt = end
    self.blocksByKey = blocksByKey
    owed = suspects > 0 ? suspects : pieces.reduce(0, +)
    owedCause = suspects > 0 ? .restart : bisects ? .bisect : .partialFailure
  }

  /// A delivery begins. What of it is one more; `nil` if nothing is.
  mutating func begin(_ delivery: Delivery, _ batch: RecordBatch?) -> Redelivery? {
    let extent = delivery.extent
    if case .failureEntry = delivery.source {
      return batch.map { Redelivery(count: $0.count, cause: .redrive) }
    }
    defer { deliveredEnd = max(deliveredEnd, extent.end) }
    if owed > 0, extent.first >= openedAt { owed = 0 }
    guard delivery.attempt > 1 || owed > 0 || extent.first < deliveredEnd, let batch else { return nil }
    let former = owed
    owed = max(0, owed - batch.count)
    if delivery.attempt > 1 { return Redelivery(count: batch.count, cause: .retry) }
    if blocksByKey { return nil }
    if extent.first < deliveredEnd {
      let count = (0..<batch.count).count { batch.index(at: $0) < deliveredEnd }
      return Redelivery(count: max(1, count), cause: cut)
    }
    return Redelivery(count: min(former, batch.count), cause: owedCause)
  }

  /// A delivery did not end as a whole.
  mutating func end(with answer: DeliveryAnswer) {
    switch answer {
    case .failed, .failedAmong, .recordFailed, .returnedPart: cut = .partialFailure
    // The same batch would be one more attempt.
    case .faulted: cut = .bisect
    case .succeeded, .returned: break
    }
  }
}
