import StreamModel
import Testing

@Suite("Shards and times")
struct ShardNumberTests {
  @Test("a shard's id has twelve digits and reads back")
  func roundTrip() {
    #expect(ShardNumber(3).description == "shardId-000000000003")
    for number in [0, 9, 10, UInt32.max] {
      #expect(ShardNumber(ShardNumber(number).description)?.rawValue == number)
      #expect(ShardNumber(String(number))?.rawValue == number)
    }
  }

  @Test("nothing else is a shard", arguments: ["", "shardId-", "shardId-x", "-1", "4294967296", "shard-1"])
  func malformed(text: String) {
    #expect(ShardNumber(text) == nil)
  }

  @Test("an age is never negative and sums saturate")
  func times() {
    let now = WallTime(milliseconds: 1_000)
    #expect(now.age(at: WallTime(milliseconds: 1_500)) == 500)
    #expect(now.age(at: .zero) == 0)
    #expect(now.adding(milliseconds: .max) == .distantFuture)
    #expect(MonotonicTime(nanoseconds: 5).adding(milliseconds: 2) == MonotonicTime(nanoseconds: 2_000_005))
    #expect(MonotonicTime.zero.adding(milliseconds: .max) == .distantFuture)
  }
}
