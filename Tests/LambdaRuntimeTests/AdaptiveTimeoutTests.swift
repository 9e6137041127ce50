import Testing

@testable import LambdaRuntime

@Suite("Adaptive timeouts")
struct AdaptiveTimeoutTests {
  private let adaptive = AdaptiveTimeout(floor: .seconds(1), ceiling: .seconds(60))

  private func recent(_ milliseconds: [Int64]) -> DurationHistogram {
    var recent = RecentDurations()
    for time in milliseconds { recent.add(time * 1_000_000) }
    return recent.all
  }

  @Test("until there are enough invocations it is the ceiling")
  func few() {
    #expect(adaptive.timeout(after: recent([])) == .seconds(60))
    #expect(adaptive.timeout(after: recent([Int64](repeating: 10, count: 99))) == .seconds(60))
  }

  @Test("then three times what all but one in a hundred need, within its bounds")
  func enough() {
    #expect(adaptive.timeout(after: recent([Int64](repeating: 10, count: 100))) == .seconds(1))
    // The histogram is exact to an eighth.
    let two = adaptive.timeout(after: recent([Int64](repeating: 2_000, count: 500) + [20_000]))
    #expect(two >= .seconds(6) && two <= .milliseconds(6_750))
    #expect(adaptive.timeout(after: recent([Int64](repeating: 40_000, count: 500))) == .seconds(60))
  }

  @Test("a function that slows down has a longer timeout soon, and what was long ago is forgotten")
  func change() {
    let slower = recent([Int64](repeating: 1_000, count: 900) + [Int64](repeating: 3_000, count: 20))
    #expect(adaptive.timeout(after: slower) >= .seconds(9))
    let faster = recent([Int64](repeating: 3_000, count: 100) + [Int64](repeating: 1_000, count: 2_000))
    #expect(adaptive.timeout(after: faster) < .seconds(4))
    #expect(recent([Int64](repeating: 1, count: 10_000)).count <= 2 * RecentDurations.generation)
  }
}
