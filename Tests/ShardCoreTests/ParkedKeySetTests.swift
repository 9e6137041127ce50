@testable import ShardCore
import StreamModel
import Testing

@Suite("The set of parked keys")
struct ParkedKeySetTests {
  @Test(
    "it holds what was put in and not taken out, with its number, whatever shares its places",
    arguments: 0..<20 as Range<UInt64>)
  func likeASet(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    // Hashes that begin alike crowd around the same places.
    let universe =
      (0..<200).map { _ in PartitionKeyHash(2 + random.next() % 64 + (random.next() % 4) << 40) } + [
        PartitionKeyHash(0)
      ]
    var keys = ParkedKeySet()
    var expected: [PartitionKeyHash: Int] = [:]
    for number in 0..<2_000 {
      let key = universe[Int(random.next() % UInt64(universe.count))]
      if random.next() % 100 < 55 {
        keys.insert(key, number: number)
        expected[key] = number
      } else {
        keys.remove(key)
        expected[key] = nil
      }
      #expect(keys.count == expected.count)
    }
    for key in universe {
      #expect(keys.contains(key) == (expected[key] != nil) && keys.number(of: key) == expected[key])
    }
    let hashes = universe.map(\.rawValue)
    for start in 0...universe.count {
      let next = universe[start...].firstIndex { expected[$0] != nil } ?? universe.count
      #expect(hashes.withUnsafeBufferPointer { keys.firstPosition(of: $0, in: start..<universe.count) } == next)
    }
    for key in expected.keys { keys.remove(key) }
    #expect(keys.isEmpty && !universe.contains { keys.contains($0) })
  }
}
