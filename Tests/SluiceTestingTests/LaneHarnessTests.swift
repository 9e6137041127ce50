import ShardCore
import Sluice
import SluiceTesting
import StreamModel
import Testing

@Suite("Lane harness")
struct LaneHarnessTests {
  private struct Refused: Error {}

  private func mapping(_ change: (inout EventSourceMapping) -> Void = { _ in }) -> EventSourceMapping {
    var mapping = EventSourceMapping(stream: "orders", from: .trimHorizon)
    mapping.retry.backoff = Backoff(firstMilliseconds: 100, capMilliseconds: 1_000, jitterPercent: 0)
    change(&mapping)
    return mapping
  }

  @Test("a batch waits for its window")
  func window() async {
    let lane = LaneHarness(mapping { $0.batch = .init(upTo: 500, within: .milliseconds(200)) }) { _ in .succeeded }
    lane.append(3)
    await lane.advance(by: .milliseconds(199))
    #expect(lane.deliveries.isEmpty)
    await lane.advance(by: .milliseconds(1))
    #expect(lane.deliveries == [.batch(1...3, attempt: 1)])
    #expect(lane.checkpoint == 3)
  }

  @Test("a full batch does not wait for its window")
  func full() async {
    let lane = LaneHarness(mapping { $0.batch = .init(upTo: 2, within: .seconds(1)) }) { _ in .succeeded }
    lane.append(3)
    await lane.advance()
    #expect(lane.deliveries == [.batch(1...2, attempt: 1)])
  }

  @Test("a failing batch is retried after waits that double, then given up, and the next follows")
  func retries() async {
    let lane = LaneHarness(
      mapping {
        $0.batch = .init(upTo: 2)
        $0.retry.attempts = 2
      }
    ) { batch in
      if batch.firstIndex == .zero { throw Refused() }
      return .succeeded
    }
    lane.append(3)
    await lane.advance()
    #expect(lane.nextMoment == .milliseconds(100))
    await lane.advance(by: .milliseconds(100))
    #expect(lane.deliveries == [.batch(1...2, attempt: 1), .batch(1...2, attempt: 2)])
    await lane.advance(by: .milliseconds(200))
    #expect(lane.deliveries.suffix(2) == [.batch(1...2, attempt: 3), .batch(3...3, attempt: 1)])
    #expect(lane.givenUp == [.batch(1...2, .retryAttemptsExhausted)])
  }

  @Test("records that are too old leave without a delivery")
  func expiry() async {
    let lane = LaneHarness(
      mapping {
        $0.retry.recordAge = .seconds(1)
        $0.batch.window = .seconds(10)
      }
    ) { _ in .succeeded }
    lane.append(2)
    await lane.advance(by: .milliseconds(500))
    lane.append(1)
    await lane.advance(by: .milliseconds(600))
    #expect(lane.givenUp == [.batch(1...2, .recordAgeExceeded)])
    #expect(lane.deliveries == [.batch(3...3, attempt: 1)])
  }

  @Test("the rest of a partial failure is a batch of its own, at once")
  func partial() async {
    let lane = LaneHarness(mapping()) { batch in
      batch.firstIndex == .zero ? .failed(at: batch.sequenceNumber(at: 1)) : .succeeded
    }
    lane.append(3)
    await lane.advance()
    #expect(lane.deliveries == [.batch(1...3, attempt: 1), .batch(2...3, attempt: 1)])
  }

  @Test("the last records of a closed shard do not wait for their window")
  func shardEnd() async {
    let lane = LaneHarness(mapping { $0.batch.window = .seconds(10) }) { _ in .succeeded }
    lane.append(2)
    await lane.advance()
    lane.closeShard()
    await lane.advance()
    #expect(lane.deliveries == [.batch(1...2, attempt: 1)])
    #expect(lane.checkpoint == 2)
  }

  @Test("fractions of a millisecond add up for the age of records")
  func fractions() async {
    let lane = LaneHarness(mapping { $0.retry.recordAge = .milliseconds(5) }) { _ in throw Refused() }
    lane.append(1)
    for _ in 0..<12 { await lane.advance(by: .microseconds(500)) }
    #expect(lane.givenUp == [.batch(1...1, .recordAgeExceeded)])
  }
}
