internal import LMDB
internal import StreamModel

/// How each command changes the draft and the tables. What is wrong with a command is its own answer; what is thrown
/// ends the transaction.
extension StoreWriter {
  @_lifetime(transaction: copy transaction)
  func carryOut(
    _ command: StoreCommand, on draft: inout WriterDraft, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    switch command {
    case .createStream(let stream): try create(stream, on: &draft, in: &transaction)
    case .deleteStream(let number): try delete(number, on: &draft, in: &transaction)
    case .setRetention(let number, let milliseconds):
      try setRetention(of: number, milliseconds, on: &draft, in: &transaction)
    case .split(let address, let key): try split(address, at: key, on: &draft, in: &transaction)
    case .merge(let address, let other): try merge(address, with: other, on: &draft, in: &transaction)
    case .storeMapping(let name, let settings):
      try storeMapping(name, settings: settings, on: &draft, in: &transaction)
    case .deleteMapping(let number): try delete(number, on: &draft, in: &transaction)
    case .storeLanes(let updates): store(updates, on: &draft)
    case .storeFailure(let failure): try store(failure, on: &draft, in: &transaction)
    case .updateFailure(let summary): try update(summary, in: &transaction)
    case .deleteFailure(let number): try deleteFailure(number, in: &transaction)
    case .appendAudit(let entry): try append(entry, on: &draft, in: &transaction)
    case .trim(let order): try trim(order, on: &draft, in: &transaction)
    }
  }

  // MARK: Mappings and lanes

  @_lifetime(transaction: copy transaction)
  private func storeMapping(
    _ name: String, settings: [UInt8], on draft: inout WriterDraft, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    guard !name.isEmpty, name.utf8.count <= 128 else {
      return .failure(
        .invalid(.init(field: "MappingName", value: "\(name.utf8.count) bytes long", rule: "a name has 1 to 128")))
    }
    var mapping: MappingInfo
    if let known = draft.catalog.mapping(named: name) {
      mapping = known
      mapping.settings = settings
    } else {
      mapping = MappingInfo(
        number: MappingNumber(draft.counters.nextMapping), name: name, createdAt: draft.now, settings: settings)
      draft.counters.nextMapping += 1
    }
    try transaction.put(Key(mapping.number.rawValue), mapping.encoded(), in: layout.mappings)
    draft.catalog.set(mapping)
    draft.changesCatalog = true
    return .success(.mapping(mapping))
  }

  @_lifetime(transaction: copy transaction)
  private func delete(
    _ number: MappingNumber, on draft: inout WriterDraft, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    guard draft.catalog.mappings[number] != nil else { return .failure(.noSuchMapping("\(number.rawValue)")) }
    try transaction.delete(Key(number.rawValue), in: layout.mappings)
    draft.lanes = draft.lanes.filter { $0.key.mapping != number }
    var lanes = try transaction.cursor(in: layout.lanes)
    var isThere = try lanes.seek(atOrAfter: Key(number.rawValue, 0, UInt32(0)))
    while isThere, lanes.key.number(at: 0) == number.rawValue {
      try lanes.delete()
      isThere = try lanes.next()
    }
    draft.catalog.remove(number)
    draft.changesCatalog = true
    return .success(.done)
  }

  private func store(
    _ updates: [LaneUpdate], on draft: inout WriterDraft
  ) -> Result<CommandAnswer, StoreError> {
    for update in updates {
      guard draft.catalog.mappings[update.key.mapping] != nil else {
        return .failure(.noSuchMapping("\(update.key.mapping.rawValue)"))
      }
      guard draft.catalog.shard(update.key.address) != nil else { return .failure(.noSuchShard(update.key.address)) }
    }
    for update in updates { draft.lanes[update.key] = update.record }
    return .success(.done)
  }

  // MARK: Failure entries and audit

  @_lifetime(transaction: copy transaction)
  private func store(
    _ failure: NewFailure, on draft: inout WriterDraft, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    let summary = failure.summary
    let key = Key(failure: summary.mapping, summary.address, first: summary.firstIndex, last: summary.lastIndex)
    let number: UInt64
    if let known = try failureNumber(key, in: transaction) {
      number = known
    } else {
      number = draft.counters.nextFailure
      draft.counters.nextFailure += 1
      var writer = ByteWriter()
      writer.write(number)
      try transaction.put(key, writer.bytes, in: layout.failureKeys)
    }
    try transaction.put(Key(number), summary.encoded(), in: layout.failures)
    try transaction.put(Key(number), failure.payload.bytes, in: layout.failurePayloads)
    return .success(.number(number))
  }

  private func failureNumber(
    _ key: Key, in transaction: borrowing WriteTransaction
  ) throws(LMDBError) -> UInt64? {
    guard let value = try transaction.value(key, in: layout.failureKeys) else { return nil }
    var reader = ByteReader(value, table: "failureKeys")
    return try reader.read(UInt64.self)
  }

  private func summary(
    _ number: UInt64, in transaction: borrowing WriteTransaction
  ) throws(LMDBError) -> FailureSummary? {
    guard let value = try transaction.value(Key(number), in: layout.failures) else { return nil }
    return try FailureSummary(number: number, decoding: value)
  }

  @_lifetime(transaction: copy transaction)
  private func update(
    _ changed: FailureSummary, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    guard let known = try summary(changed.number, in: transaction) else {
      return .failure(.noSuchFailure(changed.number))
    }
    guard known.mapping == changed.mapping, known.address == changed.address,
      known.firstIndex == changed.firstIndex, known.lastIndex == changed.lastIndex
    else {
      return .failure(
        .invalid(.init(field: "FailureEntry", value: "\(changed.number)", rule: "its records do not change")))
    }
    try transaction.put(Key(changed.number), changed.encoded(), in: layout.failures)
    return .success(.done)
  }

  @_lifetime(transaction: copy transaction)
  private func deleteFailure(
    _ number: UInt64, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    guard let known = try summary(number, in: transaction) else { return .failure(.noSuchFailure(number)) }
    try transaction.delete(
      Key(failure: known.mapping, known.address, first: known.firstIndex, last: known.lastIndex),
      in: layout.failureKeys)
    try transaction.delete(Key(number), in: layout.failures)
    try transaction.delete(Key(number), in: layout.failurePayloads)
    return .success(.done)
  }

  @_lifetime(transaction: copy transaction)
  private func append(
    _ entry: AuditEntry, on draft: inout WriterDraft, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    let number = draft.counters.nextAudit
    draft.counters.nextAudit += 1
    try transaction.put(Key(number), entry.encoded(), in: layout.audit)
    return .success(.number(number))
  }
}
