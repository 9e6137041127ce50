public import StreamModel

/// What becomes true together with a lane's progress, in one transaction: all of it or nothing.
public struct LaneEffects: Hashable, Sendable {
  /// Entries of the mapping's tables.
  public var tableWrites: TableWrites
  /// Failure entries whose redrive succeeded: they leave the list.
  public var settledFailures: [UInt64]

  public init(tableWrites: TableWrites = [:], settledFailures: [UInt64] = []) {
    self.tableWrites = tableWrites
    self.settledFailures = settledFailures
  }

  public var isEmpty: Bool { tableWrites.isEmpty && settledFailures.isEmpty }

  /// About what they take in the store. Costs a walk.
  public var byteCount: Int {
    tableWrites.reduce(0) { $0 + $1.key.bytes.count + ($1.value?.count ?? 0) + StoredTables.overheadByteCount }
  }
}
