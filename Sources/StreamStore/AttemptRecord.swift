public import StreamModel

/// One delivery that failed.
public struct AttemptRecord: Hashable, Sendable {
  public var startedAt: WallTime
  public var durationMilliseconds: Int64
  public var kind: FailureKind
  public var type: String
  public var message: String
  public var trace: [String]
  public var requestID: String
  /// The name of the retry rule that decided what follows. `nil`: none did.
  public var rule: String?
  /// What was delivered. `nil`: a version stored it that did not keep this.
  public var batch: AttemptedBatch?
  /// Who asked for it, if it was the redrive of a failure entry.
  public var redriver: String?

  public init(
    startedAt: WallTime, durationMilliseconds: Int64, kind: FailureKind, type: String, message: String,
    trace: [String], requestID: String, rule: String? = nil, batch: AttemptedBatch? = nil, redriver: String? = nil
  ) {
    self.startedAt = startedAt
    self.durationMilliseconds = durationMilliseconds
    self.kind = kind
    self.type = type
    self.message = message
    self.trace = trace
    self.requestID = requestID
    self.rule = rule
    self.batch = batch
    self.redriver = redriver
  }
}

/// The batch of an attempt, and where the records whose story is told stood in it.
public struct AttemptedBatch: Hashable, Sendable {
  public var first: RecordIndex
  public var last: RecordIndex
  public var count: Int
  /// The place in it of the first record of the story, from 0: of a failure entry its first one, of a lane the one at
  /// its checkpoint. Those before it were settled meanwhile. `nil`: not known, because records of other lanes, keys or
  /// none stand between.
  public var position: Int?

  public init(first: RecordIndex, last: RecordIndex, count: Int, position: Int? = 0) {
    self.first = first
    self.last = last
    self.count = count
    self.position = position
  }

  /// No other records stand between the first and the last.
  public var isDense: Bool { count > 0 && first <= last && first.distance(to: last) + 1 == UInt64(count) }

  /// Where a record stood. `nil`: not in the batch, or other records stand between and nobody knows.
  public func position(of index: RecordIndex) -> Int? {
    guard isDense, index >= first, index <= last else { return nil }
    return Int(first.distance(to: index))
  }

  /// Stands for a position that is not known.
  public static let unknownPosition = UInt32.max
}

extension AttemptRecord {
  /// Stand in the byte of the kind of a stored attempt when further members follow the others, in this order.
  public enum Flag {
    public static let rule: UInt8 = 0x80
    public static let batch: UInt8 = 0x40
    public static let redriver: UInt8 = 0x20
    public static let all = rule | batch | redriver
  }

  /// The byte of the kind.
  public var flaggedKind: UInt8 {
    kind.rawValue | (rule == nil ? 0 : Flag.rule) | (batch == nil ? 0 : Flag.batch)
      | (redriver == nil ? 0 : Flag.redriver)
  }
}

/// What happened to failing records besides their attempts.
public struct RecordEvent: Hashable, Sendable {
  public var kind: Kind
  public var at: WallTime
  /// The operator, if it was one.
  public var actor: String?

  public enum Kind: UInt8, Hashable, Sendable, CaseIterable {
    /// Their partition key was parked: they waited apart from the rest of their lane.
    case parked = 1
    /// An operator gave them up.
    case skipped = 2
    /// An operator had their failure entry delivered again.
    case redriven = 3
  }

  /// An entry keeps the first and the last ones, so many at most.
  public static let limit = 20

  public init(_ kind: Kind, at: WallTime, actor: String? = nil) {
    self.kind = kind
    self.at = at
    self.actor = actor
  }
}

extension FailureSummary {
  /// Adds an event. Of too many the second one goes: the first says how it began.
  public mutating func add(_ event: RecordEvent) {
    if events.count >= RecordEvent.limit { events.remove(at: 1) }
    events.append(event)
  }
}
