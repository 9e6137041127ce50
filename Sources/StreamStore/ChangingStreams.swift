internal import LMDB
internal import StreamModel

/// Creating, changing and resharding streams.
extension StoreWriter {
  @_lifetime(transaction: copy transaction)
  func create(
    _ new: NewStream, on draft: inout WriterDraft, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    if let problem = new.problem { return .failure(.invalid(problem)) }
    guard draft.catalog.stream(named: new.name) == nil else { return .failure(.streamExists(new.name)) }
    let stream = StreamInfo(
      number: StreamNumber(draft.counters.nextStream), name: new.name,
      retentionMilliseconds: new.retentionMilliseconds, createdAt: draft.now, recordByteLimit: new.recordByteLimit,
      nextShard: ShardNumber(UInt32(new.shardCount)), isBeingDeleted: false, kind: new.kind)
    draft.counters.nextStream += 1
    let shards = HashKeyRange.evenly(new.shardCount).enumerated().map { position, range in
      ShardInfo(
        address: ShardAddress(stream: stream.number, shard: ShardNumber(UInt32(position))), hashKeys: range,
        parents: [], createdAtSeconds: draft.now.seconds, createdAt: draft.now, closing: nil, firstAvailable: .zero,
        trimmedThrough: .zero)
    }
    try put(stream, shards, on: &draft, in: &transaction)
    return .success(.stream(stream))
  }

  @_lifetime(transaction: copy transaction)
  func delete(
    _ number: StreamNumber, on draft: inout WriterDraft, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    guard var stream = draft.catalog.streams[number], !stream.isBeingDeleted else {
      return .failure(.noSuchStream("\(number.rawValue)"))
    }
    stream.isBeingDeleted = true
    try transaction.put(Key(stream: number), stream.encoded(), in: layout.streams)
    draft.catalog.markDeleted(stream)
    draft.changesCatalog = true
    draft.deletedStreams.append(number)
    return .success(.done)
  }

  @_lifetime(transaction: copy transaction)
  func setRetention(
    of number: StreamNumber, _ milliseconds: Int64, on draft: inout WriterDraft,
    in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    guard var stream = draft.catalog.streams[number], !stream.isBeingDeleted else {
      return .failure(.noSuchStream("\(number.rawValue)"))
    }
    guard milliseconds > 0 else {
      return .failure(
        .invalid(.init(field: "RetentionPeriod", value: "\(milliseconds) ms", rule: "it is 1 ms or more")))
    }
    stream.retentionMilliseconds = milliseconds
    try put(stream, [], on: &draft, in: &transaction)
    return .success(.done)
  }

  @_lifetime(transaction: copy transaction)
  func split(
    _ address: ShardAddress, at key: HashKey, on draft: inout WriterDraft, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    let stream: StreamInfo
    let parent: ShardInfo
    switch openShard(address, in: draft) {
    case .failure(let error): return .failure(error)
    case .success(let found): (stream, parent) = found
    }
    guard parent.hashKeys.first < key, key <= parent.hashKeys.last else {
      return .failure(
        .invalid(
          .init(
            field: "NewStartingHashKey", value: key.description,
            rule: "it lies behind the first key of the shard, \(parent.hashKeys.first), and not behind the last")))
    }
    return try reshard(
      stream, closing: [parent],
      into: [
        HashKeyRange(first: parent.hashKeys.first, last: HashKey(key.rawValue - 1)),
        HashKeyRange(first: key, last: parent.hashKeys.last),
      ], on: &draft, in: &transaction)
  }

  @_lifetime(transaction: copy transaction)
  func merge(
    _ address: ShardAddress, with other: ShardNumber, on draft: inout WriterDraft,
    in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    let stream: StreamInfo
    var (low, high): (ShardInfo, ShardInfo)
    switch openShard(address, in: draft) {
    case .failure(let error): return .failure(error)
    case .success(let found): (stream, low) = found
    }
    switch openShard(ShardAddress(stream: address.stream, shard: other), in: draft) {
    case .failure(let error): return .failure(error)
    case .success(let found): high = found.1
    }
    let parents = [low, high]
    if high.hashKeys.first < low.hashKeys.first { swap(&low, &high) }
    guard low.hashKeys.isFollowed(by: high.hashKeys) else {
      return .failure(
        .invalid(
          .init(
            field: "AdjacentShardToMerge", value: other.description,
            rule: "its hash keys begin or end right beside those of \(address.shard)")))
    }
    return try reshard(
      stream, closing: parents, into: [HashKeyRange(first: low.hashKeys.first, last: high.hashKeys.last)],
      on: &draft, in: &transaction)
  }

  private func openShard(
    _ address: ShardAddress, in draft: WriterDraft
  ) -> Result<(StreamInfo, ShardInfo), StoreError> {
    guard let stream = draft.catalog.streams[address.stream], !stream.isBeingDeleted,
      let shard = draft.catalog.shard(address)
    else { return .failure(.noSuchShard(address)) }
    return shard.isOpen ? .success((stream, shard)) : .failure(.shardClosed(address))
  }

  /// Closes `parents` where they end now and opens a child for each of `ranges`.
  @_lifetime(transaction: copy transaction)
  private func reshard(
    _ old: StreamInfo, closing parents: [ShardInfo], into ranges: [HashKeyRange], on draft: inout WriterDraft,
    in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    var stream = old
    var changed: [ShardInfo] = []
    // Later than every parent, so that sequence numbers of children sort behind those of their parents.
    var seconds = draft.now.seconds
    for var parent in parents {
      seconds = max(seconds, parent.createdAtSeconds + 1)
      let tail = tail(of: parent.address, in: draft)
      parent.closing = ShardClosing(closedAt: draft.now, end: tail.next)
      draft.tails[parent.address] = tail
      draft.closedShards.insert(parent.address)
      changed.append(parent)
    }
    var children: [ShardInfo] = []
    for range in ranges {
      children.append(
        ShardInfo(
          address: ShardAddress(stream: stream.number, shard: stream.nextShard), hashKeys: range,
          parents: parents.map(\.address.shard), createdAtSeconds: seconds, createdAt: draft.now, closing: nil,
          firstAvailable: .zero, trimmedThrough: .zero))
      stream.nextShard.rawValue += 1
    }
    try put(stream, changed + children, on: &draft, in: &transaction)
    return .success(.shards(children))
  }

  @_lifetime(transaction: copy transaction)
  private func put(
    _ stream: StreamInfo, _ shards: [ShardInfo], on draft: inout WriterDraft,
    in transaction: inout WriteTransaction
  ) throws(LMDBError) {
    try transaction.put(Key(stream: stream.number), stream.encoded(), in: layout.streams)
    for shard in shards {
      try transaction.put(Key(shard: shard.address), shard.encoded(), in: layout.shards)
    }
    draft.catalog.set(stream)
    draft.catalog.set(shards)
    draft.changesCatalog = true
  }
}

extension NewStream {
  /// The first rule that this breaks.
  var problem: InvalidValue? {
    let isNameOfAWS = name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"):
        true
      default: false
      }
    }
    if name.isEmpty || name.utf8.count > 128 || !isNameOfAWS {
      return InvalidValue(
        field: "StreamName", value: "'\(name.prefix(128))'",
        rule: "a name has 1 to 128 letters, digits, '_', '.' and '-'")
    }
    if shardCount < 1 || shardCount > Self.greatestShardCount {
      return InvalidValue(
        field: "ShardCount", value: "\(shardCount)", rule: "a stream has 1 to \(Self.greatestShardCount) shards")
    }
    if retentionMilliseconds < 1 {
      return InvalidValue(field: "RetentionPeriod", value: "\(retentionMilliseconds) ms", rule: "it is 1 ms or more")
    }
    if recordByteLimit < 1 || recordByteLimit > Self.greatestRecordByteLimit {
      return InvalidValue(
        field: "MaxRecordSize", value: "\(recordByteLimit) bytes", rule: "it is 1 B to 10 MiB")
    }
    return nil
  }
}

extension WallTime {
  /// Whole seconds since 1970, as sequence numbers hold them: 0 ..< 2^36.
  var seconds: UInt64 { UInt64(min(max(milliseconds / 1000, 0), (1 << 36) - 2)) }
}
