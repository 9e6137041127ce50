/// One record of a batch, without a copy. It cannot outlive the batch.
@safe
public struct RecordView: ~Escapable {
  private let address: UnsafeRawPointer
  private let header: RecordHeader
  public let sequenceNumber: SequenceNumber
  /// When the store took the record in.
  public let arrival: WallTime

  @unsafe @_lifetime(borrow batch)
  init(address: UnsafeRawPointer, batch: borrowing RecordBatch, position: Int) {
    unsafe self.address = address
    unsafe self.header = RecordHeader(at: address)
    self.sequenceNumber = batch.sequenceNumber(at: position)
    self.arrival = batch.arrival(at: position)
  }

  /// The invocations of functions that the record comes from.
  public var lineage: Lineage { header.lineage }

  /// The data, as it was put: any bytes, possibly none.
  public var data: RawSpan {
    @_lifetime(copy self) get {
      let span = unsafe RawSpan(_unsafeStart: address + header.dataOffset, byteCount: header.dataByteCount)
      return unsafe _overrideLifetime(span, copying: self)
    }
  }

  /// The partition key's UTF-8 bytes, at least one.
  public var partitionKeyBytes: RawSpan {
    @_lifetime(copy self) get {
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
