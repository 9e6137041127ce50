/// An ordered batch of records of one shard, as a handler gets it: a view of a slab, never empty.
///
/// The records stay valid for as long as the batch, or a copy of it, is kept; keeping one keeps its whole slab.
public struct RecordBatch: Sendable {
  /// Where the batch comes from and which delivery this is.
  public var origin: BatchOrigin
  @usableFromInline let run: RecordRun
  @usableFromInline let range: Range<Int>

  /// A view of the records `range` of `run`, which must not be empty.
  public init(origin: BatchOrigin, run: RecordRun, range: Range<Int>) {
    precondition(!range.isEmpty && range.lowerBound >= 0 && range.upperBound <= run.count, "a batch holds records")
    self.origin = origin
    self.run = run
    self.range = range
  }

  @inlinable
  public var count: Int { range.count }

  /// The record at `position`, 0 ..< count, in the order of the shard.
  public subscript(position: Int) -> RecordView {
    // Inlinable, so that a loop over records makes nothing of them that it does not look at.
    @inlinable @_lifetime(borrow self) get {
      precondition(position >= 0 && position < range.count, "a position lies inside its batch")
      let view = unsafe RecordView(
        address: run.address(at: range.lowerBound + position), batch: self, position: range.lowerBound + position)
      return unsafe _overrideLifetime(view, borrowing: self)
    }
  }

  public var firstIndex: RecordIndex { run.index(at: range.lowerBound) }

  /// The index of the last record.
  public var lastIndex: RecordIndex { run.index(at: range.upperBound - 1) }

  /// The index of the record at `position`, 0 ..< count.
  public func index(at position: Int) -> RecordIndex {
    precondition(position >= 0 && position < range.count, "a position lies inside its batch")
    return run.index(at: range.lowerBound + position)
  }

  /// Where the record stands in the batch; `nil` if it is not in it.
  public func position(of index: RecordIndex) -> Int? {
    let position = run.position(atOrAfter: index)
    guard range.contains(position), run.index(at: position) == index else { return nil }
    return position - range.lowerBound
  }

  public func sequenceNumber(at position: Int) -> SequenceNumber {
    precondition(position >= 0 && position < range.count, "a position lies inside its batch")
    return origin.sequenceNumber(of: run.index(at: range.lowerBound + position))
  }

  public func arrival(at position: Int) -> WallTime {
    precondition(position >= 0 && position < range.count, "a position lies inside its batch")
    return run.arrival(at: range.lowerBound + position)
  }

  /// The greatest lineage of its records. Of constant cost where no record of the slab has one.
  public var lineage: Lineage { run.greatestLineage(in: range) }

  /// The first byte of the packed record at `position`, 0 ..< count, as ``RecordLayout`` describes it; valid as long as the
  /// batch lives. What follows the record need not be the next one.
  @unsafe
  public func address(at position: Int) -> UnsafeRawPointer {
    precondition(position >= 0 && position < range.count, "a position lies inside its batch")
    return unsafe run.address(at: range.lowerBound + position)
  }
}

/// Where a batch comes from and which delivery of it this is.
public struct BatchOrigin: Hashable, Sendable {
  /// The name of the stream.
  public var stream: String
  public var kind: StreamKind
  /// When the stream was made: part of its name on AWS where it holds the changes of a table.
  public var streamCreatedAt: WallTime
  public var shard: ShardNumber
  public var shardCreatedAtSeconds: UInt64
  /// 1 for the first delivery of this batch, then one more with each retry.
  public var attempt: Int
  /// A UUID that the deliveries of a batch have in common as long as the batch stays the same; empty where the handler
  /// does not use any.
  public var requestID = ""
  /// Which records of the batch were delivered before; `nil` if none were, or nobody wants to know: see the mapping's
  /// `marksRedeliveries`.
  public var redelivery: Redelivery?
  /// What handlers know the records by, in the order of the batch, where that is not what shard and index make: in the
  /// replay of a recording that was imported. `nil` everywhere else.
  public var importedSequenceNumbers: [String]?

  public init(
    stream: String, kind: StreamKind = .kinesis, streamCreatedAt: WallTime = .zero, shard: ShardNumber,
    shardCreatedAtSeconds: UInt64, attempt: Int
  ) {
    self.stream = stream
    self.kind = kind
    self.streamCreatedAt = streamCreatedAt
    self.shard = shard
    self.shardCreatedAtSeconds = shardCreatedAtSeconds
    self.attempt = attempt
  }

  public func sequenceNumber(of index: RecordIndex) -> SequenceNumber {
    SequenceNumber(shardCreatedAtSeconds: shardCreatedAtSeconds, shard: shard, index: index)
  }
}
