import StreamModel
import Testing

@Suite("Lineage")
struct LineageTests {
  @Test(
    "a trace header says it, in the ways in which one may",
    arguments: [
      ("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0;Lineage=a87bd80c:3", 3),
      ("Lineage=1:a87bd80c:2", 2), ("lineage= a87bd80c:3|68fd508a:5 ;Root=1-1-1", 8), ("Root=1-1-1;Sampled=1", 0),
      ("", 0), ("Lineage=", 0), ("Lineage=a:200|b:200", 255), ("Lineage=a:4294967295", 255),
    ])
  func header(text: String, hops: Int) throws {
    #expect(try Lineage(traceHeader: text) == Lineage(hops: hops))
  }

  @Test("what is no lineage is told with its value", arguments: ["a87bd80c", "a:", "a:-1", "a:3|b", "a:three"])
  func malformed(text: String) {
    #expect(throws: LineageProblem(value: text)) { try Lineage(traceHeader: "Root=1-1-1;Lineage=\(text)") }
  }

  @Test("each invocation counts one more, up to what can be told")
  func counting() throws {
    #expect(Lineage.none.next == Lineage(hops: 1))
    #expect(Lineage(hops: 255).next == Lineage(hops: 255) && Lineage(hops: 300) == Lineage(hops: 255))
    let member = Lineage(hops: 3).member(of: "orders")
    #expect(member.wholeMatch(of: /Lineage=[0-9a-f]{8}:3/) != nil)
    #expect(try Lineage(traceHeader: "Root=1-1-1;\(member)") == Lineage(hops: 3))
    #expect(member != Lineage(hops: 3).member(of: "totals"))
  }

  private func run(_ hops: [Int]) -> RecordRun {
    var bytes: [UInt8] = []
    for (place, hops) in hops.enumerated() {
      [UInt8(place)].withUnsafeBytes { byte in
        RecordLayout.append(
          partitionKey: byte, data: byte, explicitHashKey: place.isMultiple(of: 2) ? HashKey(1) : nil,
          lineage: Lineage(hops: hops), to: &bytes)
      }
    }
    var builder = RecordRunBuilder(firstIndex: .zero)
    let isWhole = bytes.withUnsafeBytes {
      builder.append(packed: $0, recordCount: hops.count, firstArrival: .zero)
    }
    #expect(isWhole)
    return builder.finish()
  }

  private func batch(_ run: RecordRun, _ range: Range<Int>) -> RecordBatch {
    let origin = BatchOrigin(stream: "orders", shard: ShardNumber(0), shardCreatedAtSeconds: 1, attempt: 1)
    return RecordBatch(origin: origin, run: run, range: range)
  }

  @Test("a record keeps it beside its hash key, and a batch has the greatest of its records")
  func records() {
    let run = run([0, 3, 255, 0])
    #expect(run.mayHaveLineage)
    #expect((0..<4).map { run.lineage(at: $0).hops } == [0, 3, 255, 0])
    let all = batch(run, 0..<4)
    #expect((0..<4).map { all[$0].lineage.hops } == [0, 3, 255, 0])
    #expect((0..<4).map { all[$0].explicitHashKey == HashKey(1) } == [true, false, true, false])
    #expect((0..<4).map { all[$0].dataBytes } == [[0], [1], [2], [3]])
    #expect(batch(run, 0..<2).lineage == Lineage(hops: 3) && batch(run, 3..<4).lineage == .none)
    #expect(!self.run([0, 0]).mayHaveLineage && batch(self.run([0]), 0..<1).lineage == .none)
  }

  @Test("records that are copied or picked keep it, and memory that is used again forgets it")
  func copies() {
    let source = run([0, 3, 0])
    var builder = RecordRunBuilder(firstIndex: .zero)
    let isCopied = builder.append(recordsAt: 1..<3, of: source)
    var copied: RecordRun? = builder.finish()
    #expect(isCopied && copied?.lineage(at: 0) == Lineage(hops: 3))
    var again = RecordRunBuilder(recycling: copied.take(), firstIndex: .zero)
    let isPlain = again.append(recordsAt: 0..<2, of: run([0, 0]))
    let plain = again.finish()
    #expect(isPlain && !plain.mayHaveLineage)
    var picker = RecordPicker(from: source, countLimit: 2)
    picker.pick(1..<2)
    let picked = picker.finish()
    #expect(picked.lineage(at: 0) == Lineage(hops: 3))
  }
}
