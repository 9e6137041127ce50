public import StreamModel
import TableChanges

/// Records on their way into a stream. Filled on the producer's thread, where records are checked, routed to shards and
/// packed, so that the writer only copies.
public struct AppendRequest: ~Copyable, Sendable {
  let body: AppendBody

  /// An empty request to the stream whose open shards are `routing`; see ``StreamStore/routing(of:)``. If they change
  /// before it is written, the writer routes the records again. `lineage` is that of who puts: of a handler that puts for a
  /// batch, the batch's ``RecordBatch/lineage`` and one more.
  public init(to routing: Routing, lineage: Lineage = .none) {
    body = AppendBody(routing: routing, lineage: lineage)
  }

  public var count: Int { body.count }

  /// The bytes that the packed records take.
  public var byteCount: Int { body.byteCount }

  /// Adds a record behind the others.
  public mutating func add(
    partitionKey: String, data: [UInt8], explicitHashKey: HashKey? = nil
  ) throws(StoreError) {
    try unsafe add(partitionKey: partitionKey, data: data.span.bytes, explicitHashKey: explicitHashKey)
  }

  /// Adds a record behind the others. Copies `data` once.
  public mutating func add(
    partitionKey: String, data: RawSpan, explicitHashKey: HashKey? = nil
  ) throws(StoreError) {
    var key = partitionKey
    let body = body
    let outcome: Result<Void, StoreError> = key.withUTF8 { keyBytes in
      unsafe data.withUnsafeBytes { dataBytes in
        Result { () throws(StoreError) in
          try unsafe body.add(
            key: UnsafeRawBufferPointer(keyBytes), data: dataBytes, explicitHashKey: explicitHashKey, keyIsValid: true)
        }
      }
    }
    try outcome.get()
  }

  /// Adds a record whose partition key comes as UTF-8, which is checked. Copies both once. `lineage` counts if it is more
  /// than that of the request.
  public mutating func add(
    partitionKeyBytes: UnsafeRawBufferPointer, data: UnsafeRawBufferPointer, explicitHashKey: HashKey? = nil,
    lineage: Lineage = .none
  ) throws(StoreError) {
    try unsafe body.add(
      key: partitionKeyBytes, data: data, explicitHashKey: explicitHashKey, lineage: lineage, keyIsValid: false)
  }
}

/// The records of a request, by shard. One owner at a time: the request that fills it, then the writer.
final class AppendBody: @unchecked Sendable {
  // Unchecked because of the variables: see above.
  let routing: Routing
  let lineage: Lineage
  /// The records of each shard, by its place in the routing, in pieces that fit in a block.
  private(set) var slabs: [[RecordSlab]]
  /// The shard's place for each record in the order of the request; empty when there is only one shard.
  private(set) var slots: [UInt32] = []
  private(set) var count = 0
  private(set) var byteCount = 0

  static let slabByteLimit = 256 << 10 - BlockHeader.byteCount

  init(routing: Routing, lineage: Lineage = .none) {
    self.routing = routing
    self.lineage = lineage
    self.slabs = Array(repeating: [], count: routing.shards.count)
  }

  func add(
    key: UnsafeRawBufferPointer, data: UnsafeRawBufferPointer, explicitHashKey: HashKey?,
    lineage own: Lineage = .none, keyIsValid: Bool
  ) throws(StoreError) {
    let lineage = max(own, lineage)
    try unsafe check(key: key, dataByteCount: data.count, keyIsValid: keyIsValid)
    if routing.kind == .dynamodb { try unsafe check(change: data) }
    var slot = 0
    if slabs.count > 1 {
      slot = unsafe routing.slot(of: explicitHashKey ?? HashKey(partitionKeyBytes: key))
      slots.append(UInt32(slot))
    }
    let size = RecordLayout.byteCount(
      keyByteCount: key.count, dataByteCount: data.count, hasExplicitHashKey: explicitHashKey != nil)
    if let last = slabs[slot].last, last.byteCount + size <= Self.slabByteLimit {
      unsafe last.append(key: key, data: data, explicitHashKey: explicitHashKey, lineage: lineage)
    } else {
      let slab = RecordSlab(byteCapacity: slabs[slot].isEmpty ? max(size, 1024) : max(size, Self.slabByteLimit))
      unsafe slab.append(key: key, data: data, explicitHashKey: explicitHashKey, lineage: lineage)
      slabs[slot].append(slab)
    }
    count += 1
    byteCount += size
  }

  /// The same records routed anew.
  func routed(to routing: Routing) -> AppendBody {
    let body = AppendBody(routing: routing)
    var places = slabs.map { SlabCursor($0) }
    for position in 0..<count {
      let slot = slots.isEmpty ? 0 : Int(slots[position])
      unsafe places[slot].next { record in
        let header = unsafe RecordHeader(at: record)
        let hashKey: HashKey? =
          header.hasExplicitHashKey
          ? unsafe HashKey(
            UInt128(littleEndian: record.loadUnaligned(fromByteOffset: RecordLayout.headerByteCount, as: UInt128.self)))
          : nil
        unsafe body.addChecked(
          key: UnsafeRawBufferPointer(start: record + header.keyOffset, count: header.keyByteCount),
          data: UnsafeRawBufferPointer(start: record + header.dataOffset, count: header.dataByteCount),
          explicitHashKey: hashKey, lineage: header.lineage)
      }
    }
    return body
  }

  private func addChecked(
    key: UnsafeRawBufferPointer, data: UnsafeRawBufferPointer, explicitHashKey: HashKey?, lineage: Lineage
  ) {
    do {
      try unsafe add(key: key, data: data, explicitHashKey: explicitHashKey, lineage: lineage, keyIsValid: true)
    } catch {
      preconditionFailure("a stream's record limit does not shrink while a request is under way: \(error)")
    }
  }

  /// Walks the records of one shard.
  private struct SlabCursor {
    let slabs: [RecordSlab]
    var slab = 0
    var offset = 0

    init(_ slabs: [RecordSlab]) { self.slabs = slabs }

    mutating func next(_ body: (UnsafeRawPointer) -> Void) {
      if offset == slabs[slab].byteCount { (slab, offset) = (slab + 1, 0) }
      let packed = unsafe slabs[slab].packed
      let record = unsafe packed.baseAddress.unsafelyUnwrapped + offset
      unsafe body(record)
      unsafe offset += RecordHeader(at: record).byteCount
    }
  }

  /// A stream of changes takes nothing else.
  private func check(change: UnsafeRawBufferPointer) throws(StoreError) {
    do {
      try unsafe ChangeRecord.check(RawSpan(_unsafeBytes: change))
    } catch {
      throw .invalid(.init(field: error.field, value: error.value, rule: error.rule, position: count))
    }
  }

  private func check(
    key: UnsafeRawBufferPointer, dataByteCount: Int, keyIsValid: Bool
  ) throws(StoreError) {
    let characters = unsafe PartitionKeyRule.characterCount(of: key, isValid: keyIsValid)
    guard let characters else {
      throw .invalid(
        .init(field: "PartitionKey", value: "not text", rule: "a partition key is valid UTF-8", position: count))
    }
    guard characters >= 1, characters <= PartitionKeyRule.greatestCharacterCount else {
      throw .invalid(
        .init(
          field: "PartitionKey", value: "\(characters) characters long", rule: "a partition key has 1 to 256",
          position: count))
    }
    guard key.count + dataByteCount <= routing.recordByteLimit else {
      throw .invalid(
        .init(
          field: "Data", value: "\(dataByteCount) bytes long, with its partition key \(key.count + dataByteCount)",
          rule: "the stream takes records of at most \(routing.recordByteLimit) bytes", position: count))
    }
  }
}

/// What a partition key may be.
enum PartitionKeyRule {
  static let greatestCharacterCount = 256

  /// The Unicode characters of UTF-8 text, or `nil` if it is not UTF-8. Constant cost for short text known to be valid,
  /// for which the number of bytes is given when it cannot be too great.
  static func characterCount(of bytes: UnsafeRawBufferPointer, isValid: Bool) -> Int? {
    if isValid && bytes.count <= greatestCharacterCount { return bytes.count }
    var continuations = 0
    var isASCII = true
    for position in 0..<bytes.count {
      let byte = unsafe bytes[position]
      if byte & 0x80 != 0 { isASCII = false }
      if byte & 0xc0 == 0x80 { continuations += 1 }
    }
    if !isValid && !isASCII {
      guard unsafe String(validating: bytes, as: UTF8.self) != nil else { return nil }
    }
    return bytes.count - continuations
  }
}
