import Foundation
import Sluice
import Testing

/// README.md
private func orders(_ gateway: Gateway) async throws {
  var orders = EventSourceMapping(stream: "orders", from: .trimHorizon)
  orders.batch = .init(upTo: 500, within: .milliseconds(200))
  orders.retry = .init(attempts: 5, recordAge: .hours(6))

  var processor = StreamProcessor(store: try .open(at: "/var/lib/sluice"))
  processor.map(orders) { batch in
    for index in 0..<batch.count {
      guard await gateway.accept(batch[index].dataBytes) else { return .failed(at: batch.sequenceNumber(at: index)) }
    }
    return .succeeded
  }
  try await processor.run()
}

/// docs/exactly-once.md
private func delays() async throws {
  var processor = StreamProcessor(store: try .open(at: "/var/lib/sluice"))
  processor.map(
    EventSourceMapping("delays", stream: "flights", from: .trimHorizon),
    transactionally: { batch, scope in
      for position in 0..<batch.count {
        let flight = TableOwner.partitionKey(of: batch[position])
        let former = try scope.get("count".utf8, from: "delays", of: flight) ?? []
        let count = Int(String(decoding: former, as: UTF8.self)) ?? 0
        try scope.put("count".utf8, Array("\(count + 1)".utf8), into: "delays", of: flight)
      }
      return .succeeded
    })
  try await processor.run()
}

private struct Gateway {
  func accept(_ bytes: [UInt8]) async -> Bool { !bytes.isEmpty }
}

/// Programs as the documents show them. This file sees what a program outside of the package sees: Sluice and no other
/// room.
@Suite("Programs of the documents")
struct DocumentedProgramTests {
  @Test("they are in the documents as they compile here", arguments: ["README.md", "docs/exactly-once.md"])
  func shown(document: String) throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let here = lines(try String(contentsOf: URL(filePath: #filePath), encoding: .utf8))
    let text = try String(contentsOf: root.appending(path: document), encoding: .utf8)
    let programs = text.split(separator: "```swift\n").dropFirst().compactMap { $0.split(separator: "```").first }
      .filter { $0.contains("StreamProcessor(") }
    #expect(!programs.isEmpty)
    for program in programs {
      let shown = lines(String(program)).filter { !$0.hasPrefix("import ") }
      let isHere = here.indices.contains { here[$0...].starts(with: shown) }
      #expect(isHere, "\(document) shows another program:\n\(program)")
    }
  }

  @Test("the words of the interface can be said")
  func words() {
    var options = StoreOptions()
    options.durability = .interval(milliseconds: 100)
    let failure = HandlerFailure(kind: .error, type: "Full", message: "no room")
    #expect(failure.trace.isEmpty && HandlerOutcome.failedRecords([]) != .succeeded)
    #expect(Backoff(firstMilliseconds: 1, capMilliseconds: 2, jitterPercent: 0) != .retry)
    #expect(TableOwner.lane != TableOwner.partitionKey(HashKey(partitionKey: "key")))
    #expect(options.durability != .system)
  }

  /// Without what sets them in, and without empty ones.
  private func lines(_ text: String) -> [Substring] {
    text.split(separator: "\n").map { $0.drop { $0 == " " } }.filter { !$0.isEmpty }
  }
}
