import StreamModel
import Testing

@Suite("Counts as people read them")
struct ThousandsTests {
  @Test(
    "a comma stands before each three digits",
    arguments: [
      (0, "0"), (999, "999"), (1_000, "1,000"), (27_004, "27,004"), (1_000_000, "1,000,000"), (-999, "-999"),
      (-1_000, "-1,000"), (Int.min, "-9,223,372,036,854,775,808"),
    ])
  func text(number: Int, expected: String) {
    #expect(number.withThousands == expected)
  }
}
