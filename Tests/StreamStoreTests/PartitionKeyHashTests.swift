import StreamModel
import StreamStore
import Testing

/// Part of the format: another hash would move keys between lanes, and lose those that are parked.
@Suite("Hashes of partition keys")
struct PartitionKeyHashTests {
  @Test(
    "are XXH3, whatever the length",
    arguments: [
      ("a", 0xe6c6_32b6_1e96_4e1f), ("k17", 0xe84b_900b_a715_9c11), ("AA123", 0x0ef1_283b_abdb_751a),
      ("exactly 16 bytes", 0x49cb_42e1_6f99_de05), ("seventeen bytes..", 0x0c8b_8ab0_017a_220a),
      (
        "a key that is longer than what is compiled in, and longer than 128 bytes, so that every way through the "
          + "function of the library is taken once by some key here", 0xb2a7_b432_ab41_cef2
      ),
    ] as [(String, UInt64)])
  func known(key: String, hash: UInt64) {
    #expect(PartitionKeyHash(of: key) == PartitionKeyHash(hash))
  }
}
