import StreamModel
import Testing

@Suite("Hash keys")
struct HashKeyTests {
  @Test(
    "a partition key hashes as on AWS",
    arguments: [
      ("a", "16955237001963240173058271559858726497"),
      ("user-1", "285573413173782752570879317399258818820"),
      ("é", "136732923097551493579404309126273812335"),
    ])
  func sample(partitionKey: String, expected: String) throws {
    #expect(HashKey(partitionKey: partitionKey) == HashKey(decimal: expected))
    #expect(HashKey(partitionKey: partitionKey).description == expected)
  }

  @Test("every length around the block borders hashes as Python does")
  func lengths() {
    #expect(MD5Vectors.digests.count == 131)
    for (length, digest) in MD5Vectors.digests.enumerated() {
      let hash = MD5Vectors.message(ofLength: length).withUnsafeBytes { HashKey(partitionKeyBytes: $0) }
      #expect(hash.rawValue == digest, "length \(length)")
    }
  }

  @Test("three even ranges begin where AWS begins them")
  func threeRanges() {
    let ranges = HashKeyRange.evenly(3)
    #expect(
      ranges.map(\.first.description) == [
        "0", "113427455640312821154458202477256070485", "226854911280625642308916404954512140970",
      ])
    #expect(ranges.last?.last.rawValue == .max)
  }

  @Test("even ranges cover the space without gap or overlap", arguments: [1, 2, 3, 4, 5, 7, 16, 17, 100, 256, 1_000])
  func cover(count: Int) {
    let ranges = HashKeyRange.evenly(count)
    #expect(ranges.count == count)
    #expect(ranges.first?.first.rawValue == 0)
    #expect(ranges.last?.last.rawValue == .max)
    for (left, right) in zip(ranges, ranges.dropFirst()) { #expect(left.isFollowed(by: right)) }
  }

  @Test("the last range is followed by nothing")
  func end() {
    #expect(!HashKeyRange.all.isFollowed(by: .all))
  }

  @Test("only a decimal number below 2^128 is a hash key", arguments: ["", "-1", "+1", "1e3", " 1", "٣", "0x10"])
  func malformed(text: String) {
    #expect(HashKey(decimal: text) == nil)
  }

  @Test("2^128 is one too many")
  func bound() {
    #expect(HashKey(decimal: "340282366920938463463374607431768211455")?.rawValue == .max)
    #expect(HashKey(decimal: "340282366920938463463374607431768211456") == nil)
  }
}
