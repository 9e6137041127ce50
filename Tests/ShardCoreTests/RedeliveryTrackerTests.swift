import ShardCore
import StreamModel
import Testing

@Suite("What was delivered again")
struct RedeliveryTrackerTests {
  private struct Lane {
    var tracker: RedeliveryTracker
    private var count: UInt64 = 0

    init(
      _ progress: LaneProgress = LaneProgress(), suspects: Int = 0, end: UInt64 = 100, blocksByKey: Bool = false,
      soughtEnd: UInt64 = 0
    ) {
      tracker = RedeliveryTracker(
        progress, suspects: suspects, before: RecordIndex(end), blocksByKey: blocksByKey,
        soughtEnd: RecordIndex(soughtEnd))
    }

    /// Delivers records and answers.
    mutating func deliver(
      _ records: Range<UInt64>, attempt: Int = 1, key: PartitionKeyHash? = nil, source: Delivery.Source = .shard,
      window: OpenWindow? = nil, _ answer: DeliveryAnswer = .succeeded
    ) -> Redelivery? {
      count += 1
      let first = RecordIndex(records.lowerBound)
      let extent =
        records.isEmpty
        ? BatchExtent.empty(at: first, arrival: .zero)
        : BatchExtent(first: first, count: records.count, firstArrival: .zero, lastArrival: .zero, payloadBytes: 1)
      let delivery = Delivery(
        id: DeliveryID(count), source: source, extent: extent, attempt: attempt, key: key, window: window)
      defer { tracker.end(delivery, with: answer) }
      return tracker.begin(delivery, count: records.count) { end in records.count { $0 < end.rawValue } }
    }
  }

  private static func partial(_ index: UInt64, _ first: UInt64) -> DeliveryAnswer {
    .failed(at: RecordIndex(index), position: Int(index - first))
  }

  @Test("what is delivered for the first time is not told")
  func fresh() {
    var lane = Lane()
    #expect(lane.deliver(0..<10) == nil)
    #expect(lane.deliver(10..<20) == nil)
    #expect(lane.deliver(200..<210) == nil)
  }

  @Test(
    "what a lane had passed before an operator moved it back is told, and nothing behind it", arguments: [true, false])
  func sought(blocksByKey: Bool) {
    var lane = Lane(blocksByKey: blocksByKey, soughtEnd: 15)
    #expect(lane.deliver(0..<10) == Redelivery(count: 10, cause: .seek))
    #expect(lane.deliver(10..<20) == Redelivery(count: 5, cause: .seek))
    #expect(lane.deliver(20..<30) == nil)
  }

  @Test("of what failed since the lane was moved back that is told")
  func soughtAndFailed() {
    var lane = Lane(soughtEnd: 15)
    #expect(lane.deliver(0..<20, .failed(.error)) == Redelivery(count: 15, cause: .seek))
    #expect(lane.deliver(0..<20, attempt: 2, Self.partial(4, 0)) == Redelivery(count: 20, cause: .retry))
    #expect(lane.deliver(4..<20) == Redelivery(count: 16, cause: .partialFailure))
    #expect(lane.deliver(20..<30) == nil)
  }

  @Test("a batch that fails as a whole comes again as a retry, also if the delivery used up no attempt")
  func retry() {
    var lane = Lane()
    #expect(lane.deliver(0..<4, .failed(.error)) == nil)
    #expect(lane.deliver(0..<4, attempt: 2, .failed(.error)) == Redelivery(count: 4, cause: .retry))
    #expect(lane.deliver(0..<4, attempt: 2) == Redelivery(count: 4, cause: .retry))
    #expect(lane.deliver(4..<8, .failed(.error)) == nil)
    // A rule says that it does not count.
    #expect(lane.deliver(4..<8, attempt: 1) == Redelivery(count: 4, cause: .retry))
  }

  @Test("a handler that was not called has been given nothing", arguments: [FailureKind.throttled, .unavailable])
  func uncalled(kind: FailureKind) {
    var lane = Lane(suspects: 6, end: 6)
    #expect(lane.deliver(0..<4, .failed(kind)) == Redelivery(count: 4, cause: .restart))
    #expect(lane.deliver(0..<4) == Redelivery(count: 4, cause: .restart))
    #expect(lane.deliver(4..<10) == Redelivery(count: 2, cause: .restart))
    #expect(lane.deliver(10..<14, .failed(kind)) == nil)
    #expect(lane.deliver(10..<14) == nil)
  }

  @Test("the rest of a batch, and what is new behind it, are told apart")
  func partial() {
    var lane = Lane()
    #expect(lane.deliver(0..<10, Self.partial(6, 0)) == nil)
    #expect(lane.deliver(6..<16, Self.partial(15, 6)) == Redelivery(count: 4, cause: .partialFailure))
    #expect(lane.deliver(15..<16) == Redelivery(count: 1, cause: .partialFailure))
    #expect(lane.deliver(16..<20, .failedAmong(at: RecordIndex(16), position: 0, remaining: 2)) == nil)
    #expect(lane.deliver(16..<18) == Redelivery(count: 2, cause: .partialFailure))
  }

  @Test("an answer that names the first record, or none of the batch, is a failure of the whole batch")
  func malformed() {
    for answer in [Self.partial(0, 0), .failed(at: RecordIndex(9), position: 9)] {
      var lane = Lane()
      _ = lane.deliver(0..<4, answer)
      #expect(lane.deliver(0..<2) == Redelivery(count: 2, cause: .bisect))
      #expect(lane.deliver(2..<4) == Redelivery(count: 2, cause: .bisect))
    }
  }

  @Test("in a window an answer without a state is a failure of the whole batch")
  func stateless() {
    let window = OpenWindow(TimeWindow(holding: .zero, lengthMilliseconds: 1_000))
    for answer in [DeliveryAnswer.succeeded, Self.partial(2, 0)] {
      var lane = Lane()
      _ = lane.deliver(0..<4, window: window, answer)
      #expect(lane.deliver(0..<4, attempt: 2, window: window) == Redelivery(count: 4, cause: .retry))
    }
  }

  @Test("a lane that finds frozen batches says that they may have been delivered, and of one that failed that it was")
  func frozen() {
    let extent = BatchExtent(first: .zero, count: 3, firstArrival: .zero, lastArrival: .zero, payloadBytes: 1)
    func failing(_ kind: FailureKind) -> FailingBatch {
      FailingBatch(
        extent: extent, attempts: 1, systemFailures: 0, lastFailure: kind, firstFailedAt: .zero, lastFailedAt: .zero,
        retryAt: .zero)
    }
    var lane = Lane(LaneProgress(failing: failing(.error), pieces: [2]))
    #expect(lane.deliver(0..<3, attempt: 2) == Redelivery(count: 3, cause: .retry))
    #expect(lane.deliver(3..<5) == Redelivery(count: 2, cause: .restart))
    #expect(lane.deliver(5..<9) == nil)
    // A rule may have counted a throttle.
    var throttled = Lane(LaneProgress(failing: failing(.throttled)))
    #expect(throttled.deliver(0..<3, attempt: 2) == Redelivery(count: 3, cause: .restart))
  }

  @Test("after a worker that did not end well so many records may come again, and none that was put since")
  func restart() {
    var lane = Lane(suspects: 12, end: 15)
    #expect(lane.deliver(0..<10, Self.partial(5, 0)) == Redelivery(count: 10, cause: .restart))
    // Five of them for certain, two more perhaps.
    #expect(lane.deliver(5..<15) == Redelivery(count: 7, cause: .restart))
    #expect(lane.deliver(15..<20) == nil)
    var short = Lane(suspects: 100, end: 4)
    #expect(short.deliver(0..<4) == Redelivery(count: 4, cause: .restart))
    #expect(short.deliver(4..<8) == nil)
    var policy = LanePolicy.plain(batchSize: 10)
    policy.unstoredBatchLimit = 8
    #expect(RedeliveryTracker.suspects(policy) == 90)
  }

  @Test("who ends before all of what may have been in flight came again leaves it to the next")
  func owing() {
    var lane = Lane(suspects: 8, end: 20)
    #expect(lane.tracker.isOwing)
    _ = lane.deliver(0..<4, .failed(.throttled))
    _ = lane.deliver(0..<4)
    #expect(lane.tracker.isOwing)
    _ = lane.deliver(4..<8)
    #expect(!lane.tracker.isOwing)
    // All that was there came again, although it was less than there may have been.
    var short = Lane(suspects: 100, end: 4)
    _ = short.deliver(0..<4)
    #expect(!short.tracker.isOwing)
    #expect(!Lane(LaneProgress(next: RecordIndex(4)), suspects: 100, end: 4).tracker.isOwing)
    #expect(!Lane(LaneProgress(pieces: [4])).tracker.isOwing)
  }

  @Test("what a lane forgets when records of a batch are lost is left to the next worker")
  func forgotten() {
    var lane = Lane()
    _ = lane.deliver(0..<4, .failed(.error))
    _ = lane.deliver(0..<2, .failed(.error))
    #expect(!lane.tracker.isOwing)
    lane.tracker.lost()
    #expect(lane.tracker.isOwing)
    #expect(lane.deliver(1..<3, .failed(.error)) == Redelivery(count: 2, cause: .bisect))
    #expect(lane.tracker.isOwing)
    _ = lane.deliver(1..<4)
    #expect(!lane.tracker.isOwing)
    // Nothing that was delivered stands behind these.
    lane.tracker.lost()
    #expect(!lane.tracker.isOwing)
    // What a worker before has left is forgotten as well.
    var restored = Lane(LaneProgress(pieces: [4]), end: 20)
    restored.tracker.lost()
    #expect(restored.tracker.isOwing)
    _ = restored.deliver(1..<5)
    #expect(!restored.tracker.isOwing)
  }

  @Test("a lane that blocks by key tells of further attempts of parked keys, and of what it found")
  func parked() {
    var lane = Lane(suspects: 10, end: 10, blocksByKey: true)
    let key = PartitionKeyHash(7)
    #expect(lane.deliver(0..<10, Self.partial(4, 0)) == Redelivery(count: 10, cause: .restart))
    #expect(lane.deliver(4..<5, attempt: 2, key: key, .failed(.error)) == Redelivery(count: 1, cause: .retry))
    #expect(lane.deliver(50..<51, key: key) == nil)
    // Which of them were in the batch before depends on the keys that were parked then.
    #expect(lane.deliver(5..<12) == nil)
  }

  @Test("a redrive is told as a whole, the end of a window not at all")
  func others() {
    var lane = Lane()
    #expect(lane.deliver(0..<3, source: .failureEntry(1)) == Redelivery(count: 3, cause: .redrive))
    #expect(lane.deliver(0..<0, source: .windowEnd) == nil)
    #expect(lane.deliver(0..<3) == nil)
  }
}
