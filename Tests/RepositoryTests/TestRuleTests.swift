import Foundation
import Testing

@Suite("Rules of the tests")
struct TestRuleTests {
  @Test("a time limit tells a test that hangs from others: none is so short that a busy machine reaches it")
  func timeLimits() throws {
    var count = 0
    for file in try Repository.swiftFiles(below: "Tests") {
      let text = try String(contentsOf: file, encoding: .utf8)
      for limit in text.matches(of: /\.timeLimit\(\.minutes\((\d+)\)\)/) {
        count += 1
        #expect(try #require(Int(limit.1)) >= 10, "\(file.lastPathComponent): \(limit.0)")
      }
    }
    #expect(count > 30)
  }
}
