import StreamModel
import Testing

@testable import StreamStore

@Suite("Blocks")
struct BlockTests {
  let address = ShardAddress(stream: StreamNumber(3), shard: ShardNumber(4))

  /// A sealed block of random records.
  func block(first: UInt64, seed: UInt64) -> (bytes: [UInt8], header: BlockHeader) {
    var random = SeededGenerator(state: seed)
    let slab = RecordSlab(byteCapacity: 16)
    for _ in 0..<Int.random(in: 1...40, using: &random) {
      let key = (0..<Int.random(in: 1...300, using: &random)).map { _ in UInt8.random(in: 32...126, using: &random) }
      let data = (0..<Int.random(in: 0...500, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      let explicit = Bool.random(using: &random) ? HashKey(UInt128(random.next())) : nil
      key.withUnsafeBytes { keyBytes in
        data.withUnsafeBytes { slab.append(key: keyBytes, data: $0, explicitHashKey: explicit, lineage: .none) }
      }
    }
    var open = OpenBlock(firstIndex: RecordIndex(first), arrival: WallTime(milliseconds: Int64(seed)))
    open.append(slab)
    var bytes = [UInt8](repeating: 0, count: BlockHeader.byteCount + open.byteCount)
    bytes.withUnsafeMutableBytes { memory in
      open.header.write(to: memory)
      UnsafeMutableRawBufferPointer(rebasing: memory[BlockHeader.byteCount...]).copyMemory(from: slab.packed)
      BlockHeader.seal(memory, address: address, firstIndex: RecordIndex(first))
    }
    return (bytes, open.header)
  }

  func verified(_ bytes: [UInt8], _ address: ShardAddress, _ first: UInt64) -> BlockHeader? {
    bytes.withUnsafeBytes { BlockHeader(verifying: $0, address: address, firstIndex: RecordIndex(first)) }
  }

  @Test("a head comes back as it was written", arguments: 0..<50 as Range<UInt64>)
  func roundTrip(seed: UInt64) {
    let (bytes, header) = block(first: seed * 1000, seed: seed)
    #expect(verified(bytes, address, seed * 1000) == header)
    let check = bytes.withUnsafeBytes { BlockCheck($0, address, RecordIndex(seed * 1000)) }
    #expect(check.problem == nil)
  }

  @Test("no changed bit goes unnoticed", arguments: 0..<10 as Range<UInt64>)
  func damaged(seed: UInt64) {
    let (bytes, _) = block(first: 5, seed: seed)
    for position in stride(from: 0, to: bytes.count, by: max(bytes.count / 400, 1)) {
      var changed = bytes
      changed[position] ^= 1 << UInt8(position % 8)
      #expect(verified(changed, address, 5) == nil)
    }
    for count in [0, 1, 55, 56, bytes.count - 1] {
      #expect(verified(Array(bytes.prefix(count)), address, 5) == nil)
    }
  }

  @Test("an intact block in the wrong place is noticed")
  func misplaced() {
    let (bytes, _) = block(first: 5, seed: 1)
    var other = address
    other.shard = ShardNumber(5)
    #expect(verified(bytes, other, 5) == nil)
    #expect(verified(bytes, address, 6) == nil)
    #expect(verified(bytes, address, 5) != nil)
  }
}

@Suite("Batch measure")
struct BatchMeasureTests {
  func run(_ records: [(key: String, dataByteCount: Int)]) -> RecordRun {
    let slab = RecordSlab(byteCapacity: 16)
    for record in records {
      Array(record.key.utf8).withUnsafeBytes { key in
        [UInt8](repeating: 1, count: record.dataByteCount).withUnsafeBytes {
          slab.append(key: key, data: $0, explicitHashKey: nil, lineage: .none)
        }
      }
    }
    var builder = RecordRunBuilder(firstIndex: .zero)
    let isWhole = builder.append(packed: slab.packed, recordCount: records.count, firstArrival: .zero)
    #expect(isWhole)
    return builder.finish()
  }

  @Test(
    "a record's payload is its data in base64, its key escaped and the overhead",
    arguments: [
      ("key", 0, 103), ("key", 1, 107), ("key", 3, 107), ("key", 4, 111), ("k\"", 0, 103), ("\\\n", 0, 104),
      ("\u{1}", 0, 106), ("é", 0, 102),
    ])
  func payload(key: String, dataByteCount: Int, expected: Int) {
    let measure = BatchMeasure.measure(
      run([(key, dataByteCount)]), from: 0, countLimit: 10, payloadByteLimit: 1000, recordOverheadBytes: 100,
      expiredBefore: nil)
    #expect(measure.payloadBytes == expected)
    #expect(!measure.isFull)
  }

  @Test("each byte of a key that is escaped counts, wherever it stands in a key of whatever length", arguments: 1...40)
  func escapedAnywhere(length: Int) {
    for byte in [UInt8(ascii: "\""), UInt8(ascii: "\\"), 0x0a, 0x01, 0x1f, 0x20, 0x7f, UInt8(ascii: "!")] {
      let further = byte == 0x22 || byte == 0x5c || byte == 0x0a ? 1 : byte < 0x20 ? 5 : 0
      for place in 0..<length {
        var key = [UInt8](repeating: UInt8(ascii: "k"), count: length)
        key[place] = byte
        let measure = BatchMeasure.measure(
          run([("before", 0), (String(decoding: key, as: UTF8.self), 3), ("behind", 0)]), from: 1, countLimit: 1,
          payloadByteLimit: 1_000, recordOverheadBytes: 100, expiredBefore: nil)
        #expect(measure.payloadBytes == 104 + length + further, "\(byte) at \(place)")
      }
    }
  }

  @Test("batches cut one after the other cover the run")
  func consecutive() {
    let run = run((0..<100).map { ("key-\($0)", $0 * 7 % 50) })
    var position = 0
    while position < run.count {
      let measure = BatchMeasure.measure(
        run, from: position, countLimit: 7, payloadByteLimit: 600, recordOverheadBytes: 50, expiredBefore: nil)
      #expect(measure.count > 0 && measure.count <= 7)
      #expect(measure.isFull || position + measure.count == run.count)
      position += measure.count
    }
    #expect(position == run.count)
  }
}

struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
