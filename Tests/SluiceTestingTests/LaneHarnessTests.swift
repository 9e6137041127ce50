import Locks
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

  // MARK: - Tumbling windows

  /// The sum of the records of each ten seconds, as text; noted at the end of the window.
  private func summing(
    into sums: Sums, _ change: (inout EventSourceMapping) -> Void = { _ in },
    failing: @escaping @Sendable (WindowedBatch) -> Bool = { _ in false }
  ) -> LaneHarness {
    let mapping = mapping {
      $0.tumblingWindow = .seconds(10)
      change(&$0)
    }
    return LaneHarness.windowed(mapping) { batch in
      if failing(batch) { throw Refused() }
      var sum = Int(String(decoding: batch.state.bytes, as: UTF8.self)) ?? 0
      guard let records = batch.records else {
        sums.values.withLock { $0.append(sum) }
        return .succeeded(.empty)
      }
      for position in 0..<records.count {
        sum += Int(String(decoding: records[position].dataBytes, as: UTF8.self)) ?? 0
      }
      return .succeeded(WindowState(Array(String(sum).utf8)))
    }
  }

  private final class Sums: Sendable {
    let values = Mutex<[Int]>([])
    var all: [Int] { values.withLock(\.self) }
  }

  @Test("state is handed on within a window, and its end comes a second behind it on an idle shard")
  func tumblingWindow() async {
    let sums = Sums()
    let lane = summing(into: sums)
    lane.append(2)
    await lane.advance(by: .seconds(1))
    #expect(lane.windowState == WindowState(Array("3".utf8)))
    #expect(lane.window.map { $0.end.milliseconds - $0.start.milliseconds } == 10_000)
    lane.append(1)
    await lane.advance(by: .milliseconds(9_999))
    #expect(lane.deliveries == [.batch(1...2, attempt: 1), .batch(3...3, attempt: 1)])
    await lane.advance(by: .milliseconds(1))
    #expect(lane.deliveries.last == .windowEnd(attempt: 1))
    #expect(sums.all == [6] && lane.window == nil && lane.windowState == .empty)
  }

  @Test("no batch has records of two windows, and the end of one comes before the records of the next")
  func windowsInOrder() async {
    let sums = Sums()
    let lane = summing(into: sums) { $0.batch.window = .seconds(30) }
    lane.append(2)
    await lane.advance(by: .seconds(12))
    lane.append(1)
    await lane.advance(by: .seconds(60))
    #expect(
      lane.deliveries == [
        .batch(1...2, attempt: 1), .windowEnd(attempt: 1), .batch(3...3, attempt: 1), .windowEnd(attempt: 1),
      ])
    #expect(sums.all == [3, 3])
  }

  @Test("the end of a window that fails is tried again, and given up with its state")
  func failingEnd() async {
    let sums = Sums()
    let lane = summing(into: sums) {
      $0.retry.attempts = 1
    } failing: {
      $0.isFinal
    }
    lane.append(1)
    await lane.advance(by: .seconds(20))
    #expect(lane.deliveries.suffix(2) == [.windowEnd(attempt: 1), .windowEnd(attempt: 2)])
    #expect(lane.givenUp == [.windowEnd(.retryAttemptsExhausted)])
    #expect(sums.all.isEmpty)
  }

  @Test("the rest of a partial failure gets the state of what was done")
  func windowedPart() async {
    let states = Sums()
    let mapping = mapping { $0.tumblingWindow = .seconds(10) }
    let lane = LaneHarness.windowed(mapping) { batch in
      states.values.withLock { $0.append(batch.state.bytes.count) }
      let state = WindowState(batch.state.bytes + [1])
      guard let records = batch.records, records.count > 1 else { return .succeeded(state) }
      return WindowedOutcome(state: state, failedAt: records.sequenceNumber(at: 1))
    }
    lane.append(2)
    await lane.advance(by: .seconds(11))
    #expect(
      lane.deliveries == [.batch(1...2, attempt: 1), .batch(2...2, attempt: 1), .windowEnd(attempt: 1)])
    #expect(states.all == [0, 1, 2])
  }
}
