/// One record of a batch, without a copy. It cannot outlive the batch.
@safe
public struct RecordView: ~Escapable {
  @usableFromInline let address: UnsafeRawPointer
  @usableFromInline let header: RecordHeader
  // Not counted: the batch holds it, and outlives the view.
  @usableFromInline unowned(unsafe) let run: RecordRun
  /// Its place in the run.
  @usableFromInline let position: Int
  @usableFromInline let shard: ShardNumber
  @usableFromInline let shardCreatedAtSeconds: UInt64

  @unsafe @inlinable @_lifetime(borrow batch)
  init(address: UnsafeRawPointer, batch: borrowing RecordBatch, position: Int) {
    unsafe self.address = address
    unsafe self.header = RecordHeader(at: address)
    unsafe self.run = batch.run
    self.position = position
    self.shard = batch.origin.shard
    self.shardCreatedAtSeconds = batch.origin.shardCreatedAtSeconds
  }

  public var sequenceNumber: SequenceNumber {
    SequenceNumber(
      shardCreatedAtSeconds: shardCreatedAtSeconds, shard: shard, index: unsafe run.index(at: position))
  }

  /// When the store took the record in.
  public var arrival: WallTime { unsafe run.arrival(at: position) }

  /// The invocations of functions that the record comes from.
  public var lineage: Lineage { header.lineage }

  /// The data, as it was put: any bytes, possibly none.
  public var data: RawSpan {
    @inlinable @_lifetime(copy self) get {
      let span = unsafe RawSpan(_unsafeStart: address + header.dataOffset, byteCount: header.dataByteCount)
      return unsafe _overrideLifetime(span, copying: self)
    }
  }

  /// The partition key's UTF-8 bytes, at least one.
  public var partitionKeyBytes: RawSpan {
    @inlinable @_lifetime(copy self) get {
      let span = unsafe RawSpan(_unsafeStart: address + header.keyOffset, byteCount: header.keyByteCount)
      return unsafe _overrideLifetime(span, copying: self)
    }
  }

  /// The partition key. Allocates when it is longer than 15 bytes.
  public var partitionKey: String {
    unsafe String(
      decoding: UnsafeRawBufferPointer(start: address + header.keyOffset, count: header.keyByteCount), as: UTF8.self)
  }

  /// A copy of the data that may be kept.
  public var dataBytes: [UInt8] {
    unsafe Array(UnsafeRawBufferPointer(start: address + header.dataOffset, count: header.dataByteCount))
  }

  /// The hash key that the producer set, or `nil` if the partition key decided.
  public var explicitHashKey: HashKey? {
    guard header.hasExplicitHashKey else { return nil }
    return unsafe HashKey(
      UInt128(
        littleEndian: address.loadUnaligned(fromByteOffset: RecordLayout.headerByteCount, as: UInt128.self)))
  }
}
