import ShardCore
import StreamModel
import Testing

@Suite("Shard lane: a shadow, whose outcome moves nothing")
struct LaneShadowTests {
  private func shadow(batchSize: Int = 2, _ change: (inout LanePolicy) -> Void = { _ in }) -> LanePolicy {
    var policy = LanePolicy.plain(batchSize: batchSize)
    policy.isShadow = true
    change(&policy)
    return policy
  }

  @Test(
    "whatever the handler answers, the lane goes on behind the batch at once, with no failure entry",
    arguments: [
      DeliveryAnswer.failed(.error), .failed(.timedOut), .failed(.exited), .failed(.throttled), .failed(.unavailable),
      .failed(.invalidResponse), .failed(at: RecordIndex(0), position: 0), .failed(at: RecordIndex(1), position: 1),
      .failed(at: RecordIndex(9), position: 9), .returned(WindowState([1])), .succeeded,
    ])
  func answers(answer: DeliveryAnswer) {
    var lane = LaneHarness(
      shadow {
        $0.maximumRetryAttempts = 0
        $0.bisectsBatchOnError = true
      }, records: 4)
    lane.answer(answer)
    #expect(lane.delivered == [Batch(0, 2), Batch(2, 2)])
    #expect(lane.stored.last == LaneProgress(next: RecordIndex(2)))
    #expect(lane.failures.isEmpty)
  }

  @Test("at the deadline the handler is told to end, and then the lane goes on")
  func deadline() {
    var lane = LaneHarness(shadow { $0.handlerTimeoutMilliseconds = 50 }, records: 4)
    lane.advance(by: 50)
    #expect(lane.cancelled.count == 1)
    #expect(lane.delivered.count == 1)
    lane.fail(.timedOut)
    #expect(lane.delivered.last == Batch(2, 2))
    #expect(lane.failures.isEmpty)
  }

  @Test("what was stopped comes again: it has no outcome")
  func stopped() {
    var lane = LaneHarness(shadow(), records: 2)
    lane.closeMapping(isStopping: true)
    lane.fail()
    #expect(lane.closedCount == 1)
    #expect(lane.poller.progress(lane.lane) == LaneProgress())
    lane.openMapping()
    #expect(lane.delivered == [Batch(0, 2), Batch(0, 2)])
  }

  @Test("nothing expires, and a record that is too large is passed")
  func neverLeaves() {
    var old = LaneHarness(
      shadow(batchSize: 1) { $0.maximumRecordAgeMilliseconds = 10 }, progress: LaneProgress(isPaused: true), records: 2)
    old.advance(by: 1_000)
    old.resume()
    #expect(old.delivered == [Batch(0, 1)])
    #expect(old.failures.isEmpty)
    var large = LaneHarness(shadow(batchSize: 1) { $0.payloadByteLimit = 10 }, records: 0)
    large.append(1, payload: 11)
    large.append(1, payload: 1)
    #expect(large.tooLarge.count == 1)
    #expect(large.delivered == [Batch(1, 1)])
    #expect(large.failures.isEmpty)
  }

  @Test("a batch that was under retry is delivered once more, and its pieces after it")
  func becomesShadow() {
    let extent = BatchExtent(
      first: .zero, count: 2, firstArrival: .zero, lastArrival: .zero, payloadBytes: 2)
    let failing = FailingBatch(
      extent: extent, attempts: 3, systemFailures: 0, lastFailure: .error, firstFailedAt: .zero, lastFailedAt: .zero,
      retryAt: .zero)
    var lane = LaneHarness(
      shadow(batchSize: 5) { $0.maximumRetryAttempts = 1 },
      progress: LaneProgress(failing: failing, pieces: [1]), records: 4)
    lane.fail()
    lane.fail()
    #expect(lane.delivered == [Batch(0, 2, attempt: 4), Batch(2, 1), Batch(3, 1)])
    #expect(lane.failures.isEmpty)
  }
}
