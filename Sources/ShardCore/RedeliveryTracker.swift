public import StreamModel

/// Knows of one lane which records of a batch were delivered before, and why they come again. A few numbers; nothing is
/// kept of a record.
///
/// What was delivered since the lane was opened is known. Of what was delivered before that only a bound is known, and
/// nobody can say of one record: see ``Redelivery/Cause/restart``. A lane that blocks by key has its records in batches of
/// which others are left out each time: only that is known, and the further attempts of parked keys. A batch that was under retry when other lanes began to
/// share the shard is told as a new one.
public struct RedeliveryTracker: Hashable, Sendable {
  /// Every record of the lane before this one was delivered since the lane was opened, if it is not done or parked.
  private var deliveredEnd = RecordIndex.zero
  /// Why a batch that begins before that is a new one.
  private var cut = Redelivery.Cause.partialFailure
  /// The batch that was delivered last, if it failed as a whole. Attempts do not tell: a retry rule may count one at which
  /// the handler was not called.
  private var failed: Place?
  /// Records to come first that were delivered before the lane was opened, or may have been.
  private var owed: Int
  /// Every record of the lane before this one is done, or has left.
  private var settledEnd = RecordIndex.zero
  /// Some records before this one were delivered, are not done, and the lane does not know of them any more.
  private var forgottenEnd = RecordIndex.zero
  /// Where the lane began, and whether something was left unsaid by a worker before, or would be by this one.
  private let begin: RecordIndex
  /// The lane had passed every record before this one when an operator moved it back.
  private let soughtEnd: RecordIndex
  private var hasSuspects: Bool
  private let blocksByKey: Bool
  /// Records from here on came after the lane was opened.
  private let openedAt: RecordIndex
  /// The delivery under way, and what was known before it.
  private var running: Running?

  private struct Place: Hashable {
    var first: RecordIndex
    var count: Int
  }

  private struct Running: Hashable {
    var place: Place
    var end: RecordIndex
    var deliveredEnd: RecordIndex
    var owed: Int
  }

  /// - Parameters:
  ///   - progress: what the lane is opened with.
  ///   - suspects: records of the lane that may have been in flight, or done and not stored, when the last worker ended
  ///     without saying so; 0 if it did. See ``suspects(_:)``.
  ///   - end: the end of the shard: later records were never delivered.
  ///   - soughtEnd: where the lane stood that an operator moved back furthest.
  public init(
    _ progress: LaneProgress, suspects: Int, before end: RecordIndex, blocksByKey: Bool = false,
    soughtEnd: RecordIndex = .zero
  ) {
    openedAt = end
    self.soughtEnd = soughtEnd
    begin = progress.next
    hasSuspects = suspects > 0
    self.blocksByKey = blocksByKey
    // Frozen batches were delivered, or cut off others that had become too old.
    owed = max(suspects, (progress.failing?.extent.count ?? 0) + progress.pieces.reduce(0, +))
    if let failing = progress.failing, failing.lastFailure.isOfHandler {
      failed = Place(first: failing.extent.first, count: failing.extent.count)
    }
  }

  /// Some of the records that may have been in flight when a worker ended have not come again yet, as far as is known, or
  /// some of a batch that was forgotten: who ends now leaves them to the next.
  public var isOwing: Bool {
    hasSuspects && owed > 0 && max(deliveredEnd, begin) < openedAt || settledEnd < forgottenEnd
  }

  /// Records of the lane are lost: retention removed them, or they stood in a damaged block. The lane forgets the batches
  /// that it had split, and with them which of the records that are left were delivered.
  public mutating func lost() {
    if settledEnd < deliveredEnd { forgottenEnd = deliveredEnd }
    if owed > 0 { hasSuspects = true }
  }

  /// How many records of a lane may be delivered and not stored as done when a worker ends.
  public static func suspects(_ policy: LanePolicy) -> Int { (policy.unstoredBatchLimit + 1) * policy.batchSize }

  /// A delivery of `count` records begins. What of it comes again; `nil` if nothing does. `countBefore` says how many of
  /// its records stand before one.
  public mutating func begin(
    _ delivery: Delivery, count: Int, countBefore: (RecordIndex) -> Int
  ) -> Redelivery? {
    guard count > 0 else { return nil }
    switch delivery.source {
    case .failureEntry: return Redelivery(count: count, cause: .redrive)
    case .windowEnd: return nil
    case .shard: break
    }
    let extent = delivery.extent
    guard delivery.key == nil else { return delivery.attempt > 1 ? Redelivery(count: count, cause: .retry) : nil }
    if extent.first >= openedAt { owed = 0 }
    settledEnd = max(settledEnd, extent.first)
    let place = Place(first: extent.first, count: count)
    running = Running(place: place, end: extent.end, deliveredEnd: deliveredEnd, owed: owed)
    let known = !blocksByKey && extent.first < deliveredEnd ? countBefore(deliveredEnd) : 0
    let suspected = min(owed, count - known)
    owed -= suspected
    deliveredEnd = max(deliveredEnd, extent.end)
    if failed == place, !blocksByKey { return Redelivery(count: count, cause: .retry) }
    let sought = extent.first < soughtEnd ? countBefore(soughtEnd) : 0
    if suspected > 0 { return Redelivery(count: max(known + suspected, sought), cause: .restart) }
    if known > 0 { return Redelivery(count: max(known, sought), cause: cut) }
    return sought > 0 ? Redelivery(count: sought, cause: .seek) : nil
  }

  /// It ends. Whether the handler was called at all: if not, nothing was delivered.
  @discardableResult
  public mutating func end(_ delivery: Delivery, with answer: DeliveryAnswer) -> Bool {
    var wasCalled = true
    if case .faulted(let kind, rule: _) = answer { wasCalled = kind.isOfHandler }
    guard delivery.source == .shard, delivery.key == nil, let delivered = running else { return wasCalled }
    running = nil
    guard wasCalled else {
      (deliveredEnd, owed) = (delivered.deliveredEnd, delivered.owed)
      return false
    }
    failed = nil
    switch answer {
    // In a window an answer without a state is none.
    case .succeeded where delivery.window != nil, .failed(at: _, position: _) where delivery.window != nil:
      take(isPart: false, of: delivered)
    case .succeeded, .returned: settledEnd = max(settledEnd, delivered.end)
    case .failed(at: let index, position: _), .returnedPart(_, failedAt: let index, position: _):
      take(isPart: index > delivered.place.first && index < delivered.end, of: delivered)
    case .failedAmong(at: let index, position: _, remaining: let remaining):
      take(
        isPart: remaining < delivered.place.count && index >= delivered.place.first && index < delivered.end,
        of: delivered)
    case .recordFailed: cut = .partialFailure
    case .faulted: take(isPart: false, of: delivered)
    }
    return true
  }

  /// If nothing of it is done the same batch comes again, or else its halves.
  private mutating func take(isPart: Bool, of delivered: Running) {
    cut = isPart ? .partialFailure : .bisect
    failed = isPart ? nil : delivered.place
  }
}
