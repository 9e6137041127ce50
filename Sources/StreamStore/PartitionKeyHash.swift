internal import CXXHash
public import StreamModel

extension RecordView {
  /// XXH3, 64 bits, seed 0, of the partition key's bytes: what decides which lane of a shard a record belongs to. Part of
  /// the format: another hash would move keys between lanes whose progress is stored.
  @inline(__always)
  public var partitionKeyHash: UInt64 {
    unsafe partitionKeyBytes.withUnsafeBytes { unsafe sluice_xxh3_ofKey($0.baseAddress, $0.count) }
  }
}

extension RecordRun {
  /// The same for the record at `position`, 0 ..< count.
  @inline(__always)
  public func partitionKeyHash(at position: Int) -> UInt64 {
    let address = unsafe address(at: position)
    let header = unsafe RecordHeader(at: address)
    return unsafe sluice_xxh3_ofKey(address + header.keyOffset, header.keyByteCount)
  }

  /// The same for all records, in their order, in the place of what `hashes` held.
  public func partitionKeyHashes(into hashes: inout [UInt64]) {
    hashes.resize(to: count)
    unsafe hashes.withUnsafeMutableBufferPointer { unsafe writePartitionKeyHashes(of: 0..<count, to: $0) }
  }

  /// The same for the records at `positions`, each to its own place of `hashes`, which has one for each record.
  public func writePartitionKeyHashes(of positions: Range<Int>, to hashes: UnsafeMutableBufferPointer<UInt64>) {
    precondition(positions.lowerBound >= 0 && positions.upperBound <= min(count, hashes.count), "places of the run")
    unsafe withAddresses { base, offsets in
      for position in positions {
        let address = unsafe base + Int(offsets[position])
        let header = unsafe RecordHeader(at: address)
        unsafe hashes[position] = sluice_xxh3_ofKey(address + header.keyOffset, header.keyByteCount)
      }
    }
  }
}

extension [UInt64] {
  /// So many elements, of any values.
  package mutating func resize(to count: Int) {
    if self.count > count {
      removeLast(self.count - count)
    } else {
      append(contentsOf: repeatElement(0, count: count - self.count))
    }
  }
}

extension PartitionKeyHash {
  /// Of a partition key in words.
  public init(of partitionKey: String) {
    var key = partitionKey
    self = key.withUTF8 { unsafe PartitionKeyHash(sluice_xxh3_ofKey($0.baseAddress, $0.count)) }
  }
}
