internal import LMDB
internal import StreamModel

/// The table of entries that have a destination and are not there: an index over the failure entries, written in the
/// same transaction as they are.
extension FailureDelivery {
  /// What the outbox keeps. `nil` for a delivered entry, which has left it.
  var outboxValue: [UInt8]? {
    guard state != .delivered else { return nil }
    var writer = ByteWriter()
    writer.write(state.rawValue)
    writer.write(UInt32(clamping: attempts))
    writer.write(at)
    return writer.bytes
  }

  func write(to writer: inout ByteWriter) {
    writer.write(state.rawValue)
    writer.write(UInt32(clamping: attempts))
    writer.write(at)
    writer.write(detail)
  }

  init(reading reader: inout ByteReader) throws(LMDBError) {
    guard let state = State(rawValue: try reader.read()) else { throw reader.damaged }
    self.init(
      state: state, attempts: Int(try reader.read(UInt32.self)), at: try reader.readTime(),
      detail: try reader.readText())
  }
}

extension Key {
  init(outbox mapping: MappingNumber, _ number: UInt64) {
    self.init(mapping.rawValue)
    append(number)
  }
}

struct OutboxValue {
  var state: FailureDelivery.State
  var attempts: Int
  var at: WallTime

  init(reading reader: ByteReader) throws(LMDBError) {
    var reader = reader
    guard let state = FailureDelivery.State(rawValue: try reader.read()), state != .delivered else {
      throw reader.damaged
    }
    self.state = state
    attempts = Int(try reader.read(UInt32.self))
    at = try reader.readTime()
  }
}

extension StreamStore {
  /// The entries of a mapping that wait for their delivery, in the order of their numbers: at most `limit`, behind
  /// `number`.
  public func pendingDeliveries(
    of mapping: MappingNumber, after number: UInt64 = 0, limit: Int
  ) throws(StoreError) -> [PendingDelivery] {
    try reading { transaction throws(LMDBError) in
      guard let outbox = layout.outbox else { return [] }
      var found: [PendingDelivery] = []
      var cursor = try transaction.cursor(in: outbox)
      var isThere = try cursor.seek(atOrAfter: Key(outbox: mapping, number + 1))
      while isThere, cursor.key.number(at: 0) == mapping.rawValue, found.count < limit {
        let value = try OutboxValue(reading: try cursor.reader(in: outbox))
        if value.state == .pending {
          found.append(
            PendingDelivery(number: cursor.key.number(at: 4), attempts: value.attempts, retryAt: value.at))
        }
        isThere = try cursor.next()
      }
      return found
    }
  }

  /// How many entries of each mapping are not delivered; none for those without any.
  public func deliveryCounts() throws(StoreError) -> [MappingNumber: DeliveryCounts] {
    try reading { transaction throws(LMDBError) in
      guard let outbox = layout.outbox else { return [:] }
      var counts: [MappingNumber: DeliveryCounts] = [:]
      var cursor = try transaction.cursor(in: outbox)
      while try cursor.next() {
        let mapping = MappingNumber(cursor.key.number(at: 0))
        switch try OutboxValue(reading: try cursor.reader(in: outbox)).state {
        case .pending: counts[mapping, default: DeliveryCounts()].pending += 1
        case .undeliverable: counts[mapping, default: DeliveryCounts()].undeliverable += 1
        case .delivered: break
        }
      }
      return counts
    }
  }
}

/// The outbox in a transaction.
extension StoreWriter {
  /// Brings the outbox in line with what the entry says.
  @_lifetime(transaction: copy transaction)
  func putOutbox(
    _ delivery: FailureDelivery?, of mapping: MappingNumber, _ number: UInt64,
    in transaction: inout WriteTransaction
  ) throws(LMDBError) {
    guard let outbox = layout.outbox else { return }
    let key = Key(outbox: mapping, number)
    if let value = delivery?.outboxValue {
      try transaction.put(key, value, in: outbox)
    } else {
      try transaction.delete(key, in: outbox)
    }
  }
}
