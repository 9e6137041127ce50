import Foundation
import StreamModel
import Testing

@Suite("Calendar times")
struct CalendarTimeTests {
  @Test("are written as Foundation writes them, of the calendar that both have")
  func written() {
    let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    var moments: [Int64] = [0, -1, 999, 1_000, 951_782_399_999, 951_782_400_000, 253_402_300_799_999]
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<2_000 { moments.append(.random(in: -2_208_988_800_000...253_402_300_799_999, using: &generator)) }
    for milliseconds in moments {
      let seconds = Double(milliseconds.quotientFloored(by: 1_000))
      let fraction = String(1_000 + milliseconds - milliseconds.quotientFloored(by: 1_000) * 1_000).dropFirst()
      let expected = Date(timeIntervalSince1970: seconds).formatted(style).dropLast(4) + fraction + "Z"
      #expect(CalendarTime(WallTime(milliseconds: milliseconds)).withMilliseconds == expected, "\(milliseconds) ms")
    }
  }

  @Test("years of more digits are written whole")
  func farAway() {
    #expect(
      CalendarTime(WallTime(milliseconds: 253_402_300_800_000)).withMilliseconds == "10000-01-01T00:00:00.000Z")
  }
}

extension Int64 {
  fileprivate func quotientFloored(by divisor: Int64) -> Int64 {
    let (quotient, rest) = quotientAndRemainder(dividingBy: divisor)
    return rest < 0 ? quotient - 1 : quotient
  }
}
