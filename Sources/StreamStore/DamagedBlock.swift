internal import LMDB
public import StreamModel

/// A block that cannot be read, or that is missing: where it stands, as its neighbours tell.
public struct DamagedBlock: Hashable, Sendable {
  public var address: ShardAddress
  public var firstIndex: RecordIndex
  /// The index behind its last record, where the next block begins or the shard ends. `nil` for the last block of an open
  /// shard whose own head cannot be read: that is known when something was put behind it.
  public var endIndex: RecordIndex?
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
      let claimedEnd = blocks.header?.endIndex
      let follower = try blocks.next() ? blocks.firstIndex : nil
      if let verified {
        guard let follower, follower > index else { return nil }
        return DamagedBlock(address: address, firstIndex: verified.endIndex, endIndex: follower)
      }
      let end = follower ?? shard.closing?.end ?? claimedEnd
      if let end, end <= index { return nil }
      return DamagedBlock(address: address, firstIndex: first, endIndex: end)
    }
  }
}
