/// Why a table could not be read or written. A handler may let it through: the delivery has failed then.
public enum TableError: Error, Hashable, Sendable, CustomStringConvertible {
  /// 1 ... 64 of letters, digits, `_`, `.` and `-`.
  case invalidTableName(String)
  /// The key's bytes.
  case invalidKey(byteCount: Int)
  /// The value's bytes.
  case valueTooLarge(byteCount: Int)
  /// The batch has written more than one may.
  case tooManyWrites(entries: Int, bytes: Int)
  /// The key belongs to another shard: the record was put with an explicit hash key, or the key is not the record's.
  case foreignPartitionKey
  /// A record was begun at a position that is not in the batch, or before the one that was begun last.
  case invalidPosition(Int, count: Int)
  /// The tables cannot be read now.
  case unavailable(String)

  public var description: String {
    switch self {
    case .invalidTableName(let name):
      "a table's name is \"\(name)\": allowed are 1 to \(TableLimits.nameByteCount) of letters, digits, _ . -"
    case .invalidKey(let count):
      "a table's key has \(count) bytes: allowed are 1 to \(TableLimits.keyByteCount)"
    case .valueTooLarge(let count):
      "a table's value has \(count) bytes: allowed are 0 to \(TableLimits.valueByteCount)"
    case .tooManyWrites(let entries, let bytes):
      "a batch writes \(entries) entries of \(bytes) bytes: allowed are \(TableLimits.entriesOfBatch) of "
        + "\(TableLimits.bytesOfBatch) bytes; lower BatchSize"
    case .foreignPartitionKey:
      "entries of a partition key belong to the shard that holds its hash key, and this is another one: records that "
        + "were put with an explicit hash key can use the tables of their lane only"
    case .invalidPosition(let position, let count):
      "a record begins at position \(position): allowed are rising positions from 0 to \(count - 1)"
    case .unavailable(let reason): "the tables cannot be read: \(reason)"
    }
  }
}

/// The bounds of tables.
public enum TableLimits {
  /// The greatest length of a table's name.
  public static let nameByteCount = 64
  /// The greatest length of a key; the least is 1.
  public static let keyByteCount = 256
  /// The greatest length of a value; the least is 0.
  public static let valueByteCount = 1 << 20
  /// Entries that the handler of one batch may put or delete.
  public static let entriesOfBatch = 65_536
  /// Their bytes, keys and values together.
  public static let bytesOfBatch = 4 << 20
  /// Entries that one scan gives at most.
  public static let entriesOfScan = 10_000
  /// Bytes of settled batches' writes, over all lanes of a process, that may wait to become durable. Beyond it deliveries
  /// to transactional handlers are throttled, which uses up no attempt.
  public static let unstoredBytes = 64 << 20
}
