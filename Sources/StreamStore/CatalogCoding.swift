internal import LMDB
internal import StreamModel

extension StreamInfo {
  func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(name)
    writer.write(retentionMilliseconds)
    writer.write(createdAt)
    writer.write(UInt32(recordByteLimit))
    writer.write(nextShard.rawValue)
    writer.write(isBeingDeleted)
    // What was made before there were kinds ends here.
    switch kind {
    case .kinesis: break
    case .dynamodb: writer.write(Self.dynamodb)
    }
    return writer.bytes
  }

  init(number: StreamNumber, decoding reader: ByteReader) throws(LMDBError) {
    var reader = reader
    self.init(
      number: number, name: try reader.readText(), retentionMilliseconds: try reader.read(),
      createdAt: try reader.readTime(), recordByteLimit: Int(try reader.read(UInt32.self)),
      nextShard: ShardNumber(try reader.read()), isBeingDeleted: try reader.readFlag())
    if !reader.isAtEnd {
      guard try reader.read(UInt8.self) == Self.dynamodb else { throw reader.damaged }
      kind = .dynamodb
    }
  }

  private static let dynamodb: UInt8 = 1
}

extension ShardInfo {
  func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(hashKeys.first.rawValue)
    writer.write(hashKeys.last.rawValue)
    writer.write(UInt32(parents.count))
    for parent in parents { writer.write(parent.rawValue) }
    writer.write(createdAtSeconds)
    writer.write(createdAt)
    writer.write(firstAvailable)
    writer.write(trimmedThrough)
    writer.write(closing != nil)
    if let closing {
      writer.write(closing.closedAt)
      writer.write(closing.end)
    }
    return writer.bytes
  }

  init(address: ShardAddress, decoding reader: ByteReader) throws(LMDBError) {
    var reader = reader
    let first = HashKey(try reader.read())
    let last = HashKey(try reader.read())
    guard first <= last else { throw reader.damaged }
    var parents: [ShardNumber] = []
    for _ in 0..<(try reader.readCount()) { parents.append(ShardNumber(try reader.read())) }
    let seconds: UInt64 = try reader.read()
    let createdAt = try reader.readTime()
    let firstAvailable = try reader.readIndex()
    let trimmedThrough = try reader.readTime()
    var closing: ShardClosing?
    if try reader.readFlag() {
      closing = ShardClosing(closedAt: try reader.readTime(), end: try reader.readIndex())
    }
    self.init(
      address: address, hashKeys: HashKeyRange(first: first, last: last), parents: parents, createdAtSeconds: seconds,
      createdAt: createdAt, closing: closing, firstAvailable: firstAvailable, trimmedThrough: trimmedThrough)
  }
}

extension MappingInfo {
  func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(name)
    writer.write(createdAt)
    writer.write(settings)
    return writer.bytes
  }

  init(number: MappingNumber, decoding reader: ByteReader) throws(LMDBError) {
    var reader = reader
    self.init(
      number: number, name: try reader.readText(), createdAt: try reader.readTime(), settings: try reader.readBytes())
  }
}

extension Catalog {
  /// Reads all streams, shards and mappings.
  init(reading transaction: borrowing ReadTransaction, layout: StoreLayout) throws(LMDBError) {
    self.init()
    var streams = try transaction.cursor(in: layout.streams)
    while try streams.next() {
      let stream = try StreamInfo(
        number: StreamNumber(streams.key.number(at: 0)), decoding: try streams.reader(in: layout.streams))
      if stream.isBeingDeleted { markDeleted(stream) } else { set(stream) }
    }
    var shards = try transaction.cursor(in: layout.shards)
    var family: [ShardInfo] = []
    while try shards.next() {
      let shard = try ShardInfo(address: shards.key.shardAddress, decoding: try shards.reader(in: layout.shards))
      if let first = family.first, first.address.stream != shard.address.stream {
        set(family)
        family = []
      }
      family.append(shard)
    }
    set(family)
    var mappings = try transaction.cursor(in: layout.mappings)
    while try mappings.next() {
      set(
        try MappingInfo(
          number: MappingNumber(mappings.key.number(at: 0)), decoding: try mappings.reader(in: layout.mappings)))
    }
    failureRetentionMilliseconds = try transaction.number(MetaName.failureRetention, layout).map(Int64.init(clamping:))
  }
}
