/// One record of a run with other data.
extension RecordRun {
  /// The same records, the one at `position` with this data. Key, hash key, place, arrival and lineage stay.
  public func replacingData(at position: Int, with data: [UInt8]) -> RecordRun {
    precondition((0..<count).contains(position), "a record of the run")
    var builder = RecordRunBuilder(firstIndex: firstIndex)
    var isWhole = builder.append(recordsAt: 0..<position, of: self)
    let start = unsafe address(at: position)
    let header = unsafe RecordHeader(at: start)
    let key = unsafe UnsafeRawBufferPointer(start: start + header.keyOffset, count: header.keyByteCount)
    let hashKey =
      header.hasExplicitHashKey
      ? unsafe HashKey(
        UInt128(littleEndian: start.loadUnaligned(fromByteOffset: RecordLayout.headerByteCount, as: UInt128.self)))
      : nil
    var packed: [UInt8] = []
    unsafe data.withUnsafeBytes { data in
      unsafe RecordLayout.append(
        partitionKey: key, data: data, explicitHashKey: hashKey, lineage: header.lineage, to: &packed)
    }
    unsafe packed.withUnsafeBytes { packed in
      isWhole =
        unsafe builder.append(
          packed: packed, recordCount: 1, firstArrival: arrival(at: position), at: index(at: position))
        && isWhole
    }
    if position + 1 < count { isWhole = builder.append(recordsAt: position + 1..<count, of: self) && isWhole }
    precondition(isWhole, "records of a run fit into another one")
    return builder.finish()
  }
}
