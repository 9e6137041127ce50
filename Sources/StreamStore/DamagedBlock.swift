internal import LMDB
public import StreamModel

/// A block that cannot be read, or that is missing: where it stands, as its neighbours tell.
public struct DamagedBlock: Hashable, Sendable {
  public var address: ShardAddress
  public var firstIndex: RecordIndex
  /// The index behind its last record: where the next block begins or the shard ends, or as the block itself tells.
  public var endIndex: RecordIndex
  /// `false` for the last block of an open shard whose own head is damaged: no record of it stands at `endIndex` or
  /// behind it, and what is put next does.
  public var isEndExact: Bool
}

extension StreamStore {
  /// The damaged block that holds the record `index`; `nil` if that record can be read, was removed, or is yet to come.
  public func damagedBlock(
    holding index: RecordIndex, in address: ShardAddress
  ) throws(StoreError) -> DamagedBlock? {
    try reading { transaction throws(LMDBError) in
      guard let shard = try transaction.shard(address, layout) else { return nil }
      var blocks = try transaction.blocks(of: address, layout)
      guard try blocks.seek(atOrBefore: index) else { return nil }
      let first = blocks.firstIndex
      let verified = unsafe blocks.value.withUnsafeBytes {
        unsafe BlockHeader(verifying: $0, address: address, firstIndex: first)
      }
      if let verified, verified.endIndex > index { return nil }
      let own = blocks.end
      let follower = try blocks.next() ? blocks.firstIndex : nil
      if let verified {
        guard let follower, follower > index else { return nil }
        return DamagedBlock(
          address: address, firstIndex: verified.endIndex, endIndex: follower, isEndExact: true)
      }
      let neighbour = follower ?? shard.closing?.end
      let end = neighbour ?? own.index
      guard end > index else { return nil }
      return DamagedBlock(
        address: address, firstIndex: first, endIndex: end, isEndExact: neighbour != nil || own.isExact)
    }
  }
}
