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
    case .storeLanes(let updates): try store(updates, on: &draft, in: &transaction)
    case .storeLane(let update, let effects): try store(update, effects, on: &draft, in: &transaction)
    case .writeTables(let mapping, let writes, isVital: _): try write(writes, of: mapping, on: draft, in: &transaction)
    case .storeFailure(let failure): try store(failure, on: &draft, in: &transaction)
    case .updateFailure(let summary): try update(summary, in: &transaction)
    case .noteDelivery(let note): try self.note(note, in: &transaction)
    case .deleteFailure(let number): try deleteFailure(number, in: &transaction)
    case .setFailureRetention(let milliseconds): try setFailureRetention(milliseconds, on: &draft, in: &transaction)
    case .expireFailures(let expiry): try expire(expiry, on: &draft, in: &transaction)
    case .fillFailureTimes: try fillFailureTimes(in: &transaction)
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
    try removeParked(beginningWith: Key(number.rawValue), in: &transaction)
    draft.catalog.remove(number)
    draft.changesCatalog = true
    draft.deletedMappings.append(number)
    return .success(.done)
  }

  @_lifetime(transaction: copy transaction)
  private func store(
    _ updates: [LaneUpdate], on draft: inout WriterDraft, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    for update in updates {
      guard draft.catalog.mappings[update.key.mapping] != nil else {
        return .failure(.noSuchMapping("\(update.key.mapping.rawValue)"))
      }
      guard draft.catalog.shard(update.key.address) != nil else { return .failure(.noSuchShard(update.key.address)) }
    }
    for update in updates {
      draft.lanes.updateValue(update.record, forKey: update.key)
      if !update.parked.isEmpty || !update.parkedRecords.isEmpty { try storeParked(update, in: &transaction) }
      if update.record == nil { try removeParked(beginningWith: Key(parkedOf: update.key), in: &transaction) }
    }
    return .success(.done)
  }

  /// Either everything is in the transaction or the command is refused before anything is.
  @_lifetime(transaction: copy transaction)
  private func store(
    _ update: LaneUpdate, _ effects: LaneEffects, on draft: inout WriterDraft, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    if case .failure(let problem) = try store([update], on: &draft, in: &transaction) { return .failure(problem) }
    if let tables = layout.tables {
      try transaction.apply(effects.tableWrites, of: update.key.mapping, in: tables)
    }
    for entry in effects.settledFailures {
      // Somebody else may have purged it meanwhile.
      _ = try deleteFailure(entry, in: &transaction)
    }
    return .success(.done)
  }

  @_lifetime(transaction: copy transaction)
  private func write(
    _ writes: TableWrites, of mapping: MappingNumber, on draft: WriterDraft, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    guard draft.catalog.mappings[mapping] != nil else { return .failure(.noSuchMapping("\(mapping.rawValue)")) }
    if let tables = layout.tables { try transaction.apply(writes, of: mapping, in: tables) }
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
    switch try failureNumber(key, in: transaction) {
    case .failure(let damage): return .failure(damage)
    case .success(let known?):
      number = known
      switch try self.summary(known, in: transaction) {
      case .success(let former): try removeTime(of: former, in: &transaction)
      case .failure: try findAndRemoveTime(of: known, in: &transaction)
      }
    case .success(nil):
      number = draft.counters.nextFailure
      draft.counters.nextFailure += 1
      var writer = ByteWriter()
      writer.write(number)
      try transaction.put(key, writer.bytes, in: layout.failureKeys)
    }
    try transaction.put(Key(number), summary.encoded(), in: layout.failures)
    try transaction.put(Key(number), failure.payload.bytes, in: layout.failurePayloads)
    try putOutbox(summary.delivery, of: summary.mapping, number, in: &transaction)
    try putTime(number, of: summary.mapping, summary.createdAt, in: &transaction)
    return .success(.number(number))
  }

  private func failureNumber(
    _ key: Key, in transaction: borrowing WriteTransaction
  ) throws(LMDBError) -> Result<UInt64?, StoreError> {
    do throws(LMDBError) {
      guard var reader = try transaction.value(key, in: layout.failureKeys) else { return .success(nil) }
      return .success(try reader.read(UInt64.self))
    } catch {
      return .failure(try Self.ownDamage(error))
    }
  }

  func summary(
    _ number: UInt64, in transaction: borrowing WriteTransaction
  ) throws(LMDBError) -> Result<FailureSummary, StoreError> {
    do throws(LMDBError) {
      guard let reader = try transaction.value(Key(number), in: layout.failures) else {
        return .failure(.noSuchFailure(number))
      }
      return .success(try FailureSummary(number: number, decoding: reader))
    } catch {
      return .failure(try Self.ownDamage(error))
    }
  }

  /// A damaged entry is the concern of the command that needs it, not of the others in its transaction: nothing was
  /// written for it yet.
  private static func ownDamage(_ error: LMDBError) throws(LMDBError) -> StoreError {
    guard case .corrupted = error else { throw error }
    return StoreError(error)
  }

  @_lifetime(transaction: copy transaction)
  private func update(
    _ changed: FailureSummary, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    let known: FailureSummary
    switch try summary(changed.number, in: transaction) {
    case .failure(let error): return .failure(error)
    case .success(let found): known = found
    }
    guard known.mapping == changed.mapping, known.address == changed.address,
      known.firstIndex == changed.firstIndex, known.lastIndex == changed.lastIndex
    else {
      return .failure(
        .invalid(.init(field: "FailureEntry", value: "\(changed.number)", rule: "its records do not change")))
    }
    var changed = changed
    // Whoever read the entry to change it does not know what its delivery came to meanwhile.
    changed.delivery = known.delivery
    if changed.createdAt != known.createdAt {
      try removeTime(of: known, in: &transaction)
      try putTime(changed.number, of: changed.mapping, changed.createdAt, in: &transaction)
    }
    try transaction.put(Key(changed.number), changed.encoded(), in: layout.failures)
    return .success(.done)
  }

  @_lifetime(transaction: copy transaction)
  private func note(
    _ note: DeliveryNote, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    var known: FailureSummary
    switch try summary(note.number, in: transaction) {
    case .failure(.noSuchFailure): return .success(.done)
    case .failure(let error): return .failure(error)
    case .success(let found): known = found
    }
    guard known.createdAt == note.createdAt else { return .success(.done) }
    if let former = note.former, note.delivery.state != .delivered, known.delivery != former { return .success(.done) }
    if note.deletes { return try deleteFailure(note.number, in: &transaction) }
    known.delivery = note.delivery
    try transaction.put(Key(note.number), known.encoded(), in: layout.failures)
    try putOutbox(note.delivery, of: known.mapping, note.number, in: &transaction)
    return .success(.done)
  }

  @_lifetime(transaction: copy transaction)
  func deleteFailure(
    _ number: UInt64, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    switch try summary(number, in: transaction) {
    case .success(let known): try delete(known, in: &transaction)
    case .failure(.corrupted):
      // It cannot say which records it was made for; the table of keys can, and somebody wants to be rid of it.
      try deleteFailureKey(of: number, in: &transaction)
      try findAndRemoveTime(of: number, in: &transaction)
      try deleteContents(of: number, in: &transaction)
    case .failure(let error):
      return .failure(error)
    }
    return .success(.done)
  }

  /// An entry as it stands in the store.
  @_lifetime(transaction: copy transaction)
  func delete(_ known: FailureSummary, in transaction: inout WriteTransaction) throws(LMDBError) {
    try transaction.delete(
      Key(failure: known.mapping, known.address, first: known.firstIndex, last: known.lastIndex),
      in: layout.failureKeys)
    try putOutbox(nil, of: known.mapping, known.number, in: &transaction)
    try removeTime(of: known, in: &transaction)
    try deleteContents(of: known.number, in: &transaction)
  }

  @_lifetime(transaction: copy transaction)
  private func deleteContents(of number: UInt64, in transaction: inout WriteTransaction) throws(LMDBError) {
    try transaction.delete(Key(number), in: layout.failures)
    try transaction.delete(Key(number), in: layout.failurePayloads)
  }

  @_lifetime(transaction: copy transaction)
  private func deleteFailureKey(of number: UInt64, in transaction: inout WriteTransaction) throws(LMDBError) {
    var keys = try transaction.cursor(in: layout.failureKeys)
    while try keys.next() {
      var reader = try keys.reader(in: layout.failureKeys)
      guard try reader.read(UInt64.self) == number else { continue }
      let mapping = MappingNumber(keys.key.number(at: 0))
      try keys.delete()
      return try putOutbox(nil, of: mapping, number, in: &transaction)
    }
  }

  @discardableResult
  @_lifetime(transaction: copy transaction)
  func append(
    _ entry: AuditEntry, on draft: inout WriterDraft, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    let number = draft.counters.nextAudit
    draft.counters.nextAudit += 1
    try transaction.put(Key(number), entry.encoded(), in: layout.audit)
    return .success(.number(number))
  }
}
