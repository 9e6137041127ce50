internal import StreamModel

/// An imported record as the entry of a sorter, and what such entries are put in order by.
@safe
struct GatheredRecord {
  let shard: ShardNumber
  let arrival: WallTime
  private let bytes: UnsafeRawBufferPointer
  private let sequenceNumberByteCount: Int
  private let keyByteCount: Int

  private static let headByteCount = 16

  /// Valid as long as the bytes of the entry are.
  init(_ body: UnsafeRawBufferPointer) {
    unsafe bytes = body
    arrival = WallTime(milliseconds: unsafe body.loadUnaligned(as: Int64.self))
    shard = ShardNumber(unsafe body.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
    sequenceNumberByteCount = Int(unsafe body.loadUnaligned(fromByteOffset: 12, as: UInt16.self))
    keyByteCount = Int(unsafe body.loadUnaligned(fromByteOffset: 14, as: UInt16.self))
  }

  var sequenceNumber: UnsafeRawBufferPointer { unsafe part(Self.headByteCount, sequenceNumberByteCount) }
  var key: UnsafeRawBufferPointer { unsafe part(Self.headByteCount + sequenceNumberByteCount, keyByteCount) }
  var data: UnsafeRawBufferPointer {
    let start = Self.headByteCount + sequenceNumberByteCount + keyByteCount
    return unsafe part(start, bytes.count - start)
  }

  private func part(_ start: Int, _ count: Int) -> UnsafeRawBufferPointer {
    unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<start + count])
  }

  /// The entry's body.
  static func body(of record: ImportedRecord, shard: ShardNumber, into body: inout [UInt8]) {
    body.removeAll(keepingCapacity: true)
    unsafe withUnsafeBytes(of: record.arrival.milliseconds) { unsafe body.append(contentsOf: $0) }
    unsafe withUnsafeBytes(of: shard.rawValue) { unsafe body.append(contentsOf: $0) }
    for count in [record.sequenceNumber.count, record.key.count] {
      unsafe withUnsafeBytes(of: UInt16(count)) { unsafe body.append(contentsOf: $0) }
    }
    body += record.sequenceNumber
    body += record.key
    body += record.data
  }

  /// In the order of time, and of what `number` counts where that is the same.
  static func timeKey(_ arrival: WallTime, _ shard: ShardNumber, _ number: UInt64) -> [UInt8] {
    ordered(arrival) + bigEndian(shard.rawValue) + bigEndian(number)
  }

  /// The arrival that a key of time begins with.
  static func arrival(ofTimeKey key: UnsafeRawBufferPointer) -> WallTime {
    let bits = UInt64(bigEndian: unsafe key.loadUnaligned(as: UInt64.self)) ^ 1 << 63
    return WallTime(milliseconds: Int64(bitPattern: bits))
  }

  /// Those of a shard that are the same record together.
  static func identityKey(_ shard: ShardNumber, _ identity: [UInt8], _ number: UInt64) -> [UInt8] {
    bigEndian(shard.rawValue) + bigEndian(UInt32(identity.count)) + identity + bigEndian(number)
  }

  /// What two entries have in common that are the same record; `nil` if nothing tells.
  static func identity(of identityKey: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    let numberByteCount = 8
    let count = identityKey.count - numberByteCount
    return count > 8 ? unsafe UnsafeRawBufferPointer(rebasing: identityKey[..<count]) : nil
  }

  /// The number at the end of any of these keys.
  static func number(of key: UnsafeRawBufferPointer) -> UInt64 {
    UInt64(bigEndian: unsafe key.loadUnaligned(fromByteOffset: key.count - 8, as: UInt64.self))
  }

  /// In the order of a shard: by sequence number, a longer one behind a shorter one, or by arrival; what is alike stays in
  /// the order of `number`.
  func shardKey(bySequenceNumber isNumbered: Bool, _ number: UInt64) -> [UInt8] {
    var key = Self.bigEndian(shard.rawValue)
    if isNumbered {
      key += Self.bigEndian(UInt16(sequenceNumberByteCount))
      unsafe key.append(contentsOf: sequenceNumber)
    } else {
      key += Self.ordered(arrival)
    }
    return key + Self.bigEndian(number)
  }

  private static func bigEndian(_ number: some FixedWidthInteger) -> [UInt8] {
    unsafe withUnsafeBytes(of: number.bigEndian) { unsafe Array($0) }
  }

  /// Moments before 1970 come first.
  private static func ordered(_ moment: WallTime) -> [UInt8] {
    bigEndian(UInt64(bitPattern: moment.milliseconds) ^ 1 << 63)
  }
}
