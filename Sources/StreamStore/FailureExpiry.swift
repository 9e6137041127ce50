internal import LMDB
public import StreamModel

/// Failure entries of one mapping to remove because they are too old.
public struct FailureExpiry: Hashable, Sendable {
  public var mapping: MappingNumber
  /// An entry goes when it was made before this.
  public var createdBefore: WallTime
  /// An entry stays while a redrive of it is under way: one that was asked for at this time or later and has not ended.
  /// What was asked for earlier ended with the process that was asked.
  public var redrivesSince: WallTime
  /// Where to begin: behind this entry. `nil`: with the oldest.
  public var after: FailurePlace?
  /// At most so many entries are looked at, 1 or more.
  public var entryLimit: Int
  /// Who removes them, and by which rule, for the audit.
  public var actor: String
  public var rule: String

  /// What one transaction removes at most, in bytes of records: more entries wait for the next one.
  public static let payloadByteLimit = 64 << 20

  public init(
    mapping: MappingNumber, createdBefore: WallTime, redrivesSince: WallTime, after: FailurePlace? = nil,
    entryLimit: Int = 1_000, actor: String, rule: String
  ) {
    self.mapping = mapping
    self.createdBefore = createdBefore
    self.redrivesSince = redrivesSince
    self.after = after
    self.entryLimit = entryLimit
    self.actor = actor
    self.rule = rule
  }
}

/// The place of a failure entry among those of its mapping, oldest first.
public struct FailurePlace: Hashable, Sendable {
  public var createdAt: WallTime
  public var number: UInt64

  public init(createdAt: WallTime, number: UInt64) {
    self.createdAt = createdAt
    self.number = number
  }
}

/// What an expiry did.
public struct ExpiryAnswer: Hashable, Sendable {
  public var removedEntries = 0
  /// Their records.
  public var removedRecords = 0
  /// The name of the mapping, as the entries say it; empty if none was removed.
  public var mappingName = ""
  /// A limit ended it: give the same order again with this `after`. `nil`: it is done.
  public var next: FailurePlace?

  public init(
    removedEntries: Int = 0, removedRecords: Int = 0, mappingName: String = "", next: FailurePlace? = nil
  ) {
    self.removedEntries = removedEntries
    self.removedRecords = removedRecords
    self.mappingName = mappingName
    self.next = next
  }
}

extension FailureSummary {
  /// Whether a redrive that was asked for at `start` or later has not ended.
  func isBeingRedriven(since start: WallTime) -> Bool {
    guard let event = events.last(where: { $0.kind == .redriven }), event.at >= start else { return false }
    return lastRedrive.map { $0.endedAt < event.at } ?? true
  }
}

extension StoreWriter {
  @_lifetime(transaction: copy transaction)
  func setFailureRetention(
    _ milliseconds: Int64?, on draft: inout WriterDraft, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    if let milliseconds {
      guard milliseconds > 0 else {
        return .failure(
          .invalid(.init(field: "FailureRetention", value: "\(milliseconds) ms", rule: "it is 1 ms or more")))
      }
      try transaction.put(MetaName.failureRetention, UInt64(milliseconds), layout)
    } else {
      try transaction.delete(MetaName.failureRetention, in: layout.meta)
    }
    draft.catalog.failureRetentionMilliseconds = milliseconds
    draft.changesCatalog = true
    return .success(.done)
  }

  /// Removes entries that are too old, and says so in the audit. An entry stays that waits for its delivery, whose
  /// redrive is under way, or that is damaged: nobody has seen what was in it.
  @_lifetime(transaction: copy transaction)
  func expire(
    _ expiry: FailureExpiry, on draft: inout WriterDraft, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    var answer = ExpiryAnswer()
    let old = try oldFailures(expiry, in: &transaction)
    var numbers: ClosedRange<UInt64>?
    var bytes = 0
    for (examined, place) in old.enumerated() {
      if examined == expiry.entryLimit || bytes >= FailureExpiry.payloadByteLimit {
        answer.next = old[examined - 1]
        break
      }
      guard case .success(let known) = try summary(place.number, in: transaction), known.delivery?.state != .pending,
        FailureTime(of: known)
          == FailureTime(mapping: expiry.mapping, createdAt: place.createdAt, number: place.number),
        !known.isBeingRedriven(since: expiry.redrivesSince)
      else { continue }
      bytes += try transaction.value(Key(place.number), in: layout.failurePayloads.database)?.byteCount ?? 0
      try delete(known, in: &transaction)
      answer.removedEntries += 1
      answer.removedRecords += known.count
      answer.mappingName = known.mappingName
      numbers = min(numbers?.lowerBound ?? .max, place.number)...max(numbers?.upperBound ?? 0, place.number)
    }
    if let numbers {
      let entries =
        answer.removedEntries == 1
        ? "entry \(numbers.lowerBound)"
        : "\(answer.removedEntries) entries, \(numbers.lowerBound) to \(numbers.upperBound)"
      try append(
        AuditEntry(
          time: draft.now, actor: expiry.actor, action: "expire", subject: answer.mappingName,
          detail: "\(entries): \(expiry.rule)"), on: &draft, in: &transaction)
    }
    return .success(.expired(answer))
  }

  /// The places of the oldest entries: one more than may be looked at, if there are more.
  @_lifetime(transaction: copy transaction)
  private func oldFailures(
    _ expiry: FailureExpiry, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> [FailurePlace] {
    guard let table = layout.failureTimes else { return [] }
    var places: [FailurePlace] = []
    var cursor = try transaction.cursor(in: table)
    let first = FailureTime(
      mapping: expiry.mapping, createdAt: expiry.after?.createdAt ?? .zero,
      number: expiry.after.map { $0.number + 1 } ?? 0)
    var isThere = try cursor.seek(atOrAfter: Key(first))
    while isThere, places.count <= expiry.entryLimit {
      let time = cursor.key.failureTime
      guard time.mapping == expiry.mapping, time.createdAt < expiry.createdBefore else { break }
      places.append(FailurePlace(createdAt: time.createdAt, number: time.number))
      isThere = try cursor.next()
    }
    return places
  }
}
