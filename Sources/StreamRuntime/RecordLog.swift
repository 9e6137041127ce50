public import StreamModel
public import StreamStore

/// Where lanes read the records of their shards: the store, or a recording that is replayed.
public protocol RecordLog: Sendable {
  /// As ``StreamStore/StreamStore/read(_:from:countLimit:payloadByteLimit:recordOverheadBytes:expiredBefore:cut:readAheadBytes:recycling:)``.
  func read(
    _ address: ShardAddress, from: RecordIndex, countLimit: Int, payloadByteLimit: Int,
    recordOverheadBytes: RecordSizing, expiredBefore: WallTime?, cut: WindowCut,
    readAheadBytes: Int,
    recycling: consuming RecordRun?
  ) throws(StoreError) -> ShardRead

  /// As ``StreamStore/StreamStore/read(_:at:scanByteLimit:recycling:)``.
  func read(
    _ address: ShardAddress, at ranges: [RecordRange], scanByteLimit: Int,
    recycling: consuming RecordRun?
  ) throws(StoreError) -> RangesRead
}

extension StreamStore: RecordLog {}
