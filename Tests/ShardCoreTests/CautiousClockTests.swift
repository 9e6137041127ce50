import ShardCore
import StreamModel
import Testing

@Suite("A clock to delete by", .timeLimit(.minutes(10)))
struct CautiousClockTests {
  private var clock = CautiousClock()
  private static let start: Int64 = 1_700_000_000_000
  private static let day: Int64 = 86_400_000

  /// A look so many milliseconds of monotonic time after the start, with the wall clock off by `step`.
  private mutating func look(after elapsed: Int64, off step: Int64 = 0) -> CautiousClock.Reading {
    clock.look(
      at: Now(
        monotonic: MonotonicTime(nanoseconds: 5_000_000_000 + elapsed * 1_000_000),
        wall: WallTime(milliseconds: Self.start + elapsed + step)))
  }

  private func wall(_ milliseconds: Int64) -> WallTime { WallTime(milliseconds: Self.start + milliseconds) }

  @Test("a clock that runs on is the wall clock, and so is the one that the first look finds")
  mutating func runsOn() {
    #expect(look(after: 0) == .init(wall: wall(0)))
    #expect(look(after: 10_000) == .init(wall: wall(10_000)))
    #expect(look(after: 20_000, off: 300) == .init(wall: wall(20_300)))
  }

  @Test("up to a minute ahead between two looks is believed, more is told once and not believed for an hour")
  mutating func stepsAhead() {
    _ = look(after: 0)
    #expect(look(after: 10_000, off: 60_000) == .init(wall: wall(70_000)))
    let ahead = 60_000 + 30 * Self.day
    #expect(
      look(after: 20_000, off: ahead) == .init(wall: wall(80_000), steppedAheadMilliseconds: 30 * Self.day))
    #expect(look(after: 30_000, off: ahead) == .init(wall: wall(90_000)))
    #expect(look(after: 3_619_999, off: ahead) == .init(wall: wall(3_679_999)))
    #expect(look(after: 3_620_000, off: ahead) == .init(wall: wall(3_620_000 + ahead)))
    #expect(look(after: 3_630_000, off: ahead) == .init(wall: wall(3_630_000 + ahead)))
  }

  @Test("a clock that is set right within the hour was never believed, and the next step ahead waits for its own hour")
  mutating func isSetRight() {
    _ = look(after: 0)
    _ = look(after: 10_000, off: Self.day)
    #expect(look(after: 20_000) == .init(wall: wall(20_000)))
    #expect(
      look(after: 3_620_000, off: Self.day)
        == .init(wall: wall(3_620_000), steppedAheadMilliseconds: Self.day))
  }

  @Test("a second step ahead begins the hour anew and is told")
  mutating func stepsTwice() {
    _ = look(after: 0)
    _ = look(after: 10_000, off: Self.day)
    #expect(
      look(after: 3_000_000, off: 3 * Self.day)
        == .init(wall: wall(3_000_000), steppedAheadMilliseconds: 3 * Self.day))
    #expect(look(after: 3_700_000, off: 3 * Self.day) == .init(wall: wall(3_700_000)))
    #expect(look(after: 6_600_000, off: 3 * Self.day) == .init(wall: wall(6_600_000 + 3 * Self.day)))
  }

  @Test("a step back is believed at once, and from there a step ahead counts")
  mutating func stepsBack() {
    _ = look(after: 0)
    #expect(look(after: 10_000, off: -Self.day) == .init(wall: wall(10_000 - Self.day)))
    #expect(
      look(after: 20_000) == .init(wall: wall(20_000 - Self.day), steppedAheadMilliseconds: Self.day))
  }
}
