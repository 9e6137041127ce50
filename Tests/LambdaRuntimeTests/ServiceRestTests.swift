import Testing

@testable import LambdaRuntime

@Suite("Retry-After")
struct ServiceRestTests {
  @Test(
    "whole seconds, and no more than 5 minutes; nothing else",
    arguments: [
      ("0", 0), ("7", 7), ("300", 300), ("301", 300), ("99999999999999999999999", 300), ("", nil), ("-1", nil),
      ("1.5", nil), (" 1", nil), ("Wed, 21 Oct 2026 07:28:00 GMT", nil),
    ] as [(String, Int?)])
  func read(text: String, seconds: Int?) {
    #expect(ServiceRest.wait(text) == seconds.map { .seconds($0) })
  }

  @Test("the later end counts, and then it is over")
  func ends() {
    var rest = ServiceRest()
    #expect(rest.left(at: 1) <= .zero)
    rest.begin(.seconds(2), at: 1_000_000_000)
    rest.begin(.seconds(1), at: 1_000_000_000)
    #expect(rest.left(at: 1_500_000_000) == .milliseconds(1_500))
    #expect(rest.left(at: 3_000_000_000) == .zero)
    rest.begin(.seconds(3_600), at: 0)
    #expect(rest.left(at: 0) == ServiceRest.longest)
  }
}
