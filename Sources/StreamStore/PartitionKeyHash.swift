internal import CXXHash
public import StreamModel

extension RecordView {
  /// XXH3, 64 bits, seed 0, of the partition key's bytes: what decides which lane of a shard a record belongs to. Part of
  /// the format: another hash would move keys between lanes whose progress is stored.
  @inline(__always)
  public var partitionKeyHash: UInt64 {
    unsafe partitionKeyBytes.withUnsafeBytes { unsafe sluice_xxh3($0.baseAddress, $0.count, 0) }
  }
}
