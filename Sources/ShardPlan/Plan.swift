public import ShardCore
public import StreamModel

/// What a policy makes of a scenario: every invocation and every wait in their order. Records are numbered from 1, times
/// are milliseconds from the beginning.
public struct Plan: Hashable, Sendable {
  public var steps: [PlanStep] = []
  /// What becomes of each record, in their order.
  public var records: [RecordFate] = []
  /// Batches that are delivered again and again, and stand before the rest of their lane.
  public var endless: [EndlessBatch] = []
  /// When the last record is settled. `nil`: some never are, or the plan was cut before.
  public var endMilliseconds: Int64?
  /// When the last record that fails is settled, and the shard moves as if nothing had been. `nil` as above, or if none
  /// fails.
  public var movesAgainMilliseconds: Int64?
  /// The limit of invocations was reached: there is more.
  public var isCut = false

  public var invocations: [PlanInvocation] {
    steps.compactMap { if case .invocation(let invocation) = $0 { invocation } else { nil } }
  }
  public var departures: [PlanDeparture] {
    steps.compactMap { if case .departure(let departure) = $0 { departure } else { nil } }
  }
}

public enum PlanStep: Hashable, Sendable {
  case invocation(PlanInvocation)
  case departure(PlanDeparture)

  public var milliseconds: Int64 {
    switch self {
    case .invocation(let invocation): invocation.milliseconds
    case .departure(let departure): departure.milliseconds
    }
  }
}

/// A batch that is handed to the handler, or would be: of a throttled one, or one that is too large, the handler hears
/// nothing.
public struct PlanInvocation: Hashable, Sendable {
  public var milliseconds: Int64
  public var endMilliseconds: Int64
  public var lane: Int
  /// None: it is the final invocation of a tumbling window.
  public var records: RecordNumbers
  /// The request id, counted from 0 in the order of appearance: the same for all retries of an unchanged batch.
  public var request: Int
  /// One more than the attempts used up so far.
  public var attempt: Int
  /// Splits that led to this batch.
  public var depth: Int
  public var result: Result
  public var next: Next

  public enum Result: Hashable, Sendable {
    case succeeded
    /// The handler reported this record, and those before it are done. Where every failure is named they may be several,
    /// and all others of the batch are done.
    case reported(records: RecordNumbers)
    /// `record` is the one at which it failed, if one is known.
    case failed(FailureKind, record: Int?, rule: RetryRuleID?)
  }

  public enum Next: Hashable, Sendable {
    /// It is under way.
    case open
    /// The batch is done.
    case settled
    /// The rest is a new batch, delivered at once.
    case rest(RecordNumbers)
    /// The halves are new batches, delivered one after the other without a wait.
    case split(RecordNumbers, RecordNumbers)
    case retry(PlanWait)
    /// As `retry`, and then the same for ever: nothing in the policy ends it.
    case endlessRetry(PlanWait)
    /// Too old before its retry is due.
    case expiry(milliseconds: Int64)
    /// A departure follows.
    case departure(FailureCondition)
  }

  /// It ends a tumbling window.
  public var isFinal: Bool { records.count == 0 }

  /// Whether the handler got the batch.
  public var reachesHandler: Bool {
    guard case .failed(let kind, _, _) = result else { return true }
    return switch kind {
    case .throttled, .unavailable, .payloadTooLarge: false
    case .error, .timedOut, .exited, .invalidResponse, .reportedNoProgress: true
    }
  }
}

/// The wait before a retry.
public struct PlanWait: Hashable, Sendable {
  public var milliseconds: Int64
  /// What jitter may make of it.
  public var leastMilliseconds: Int64
  public var mostMilliseconds: Int64
  /// The failure used up an attempt.
  public var usesAttempt: Bool
}

/// Records that leave their lane as a failure entry; none, if it is the state of a tumbling window.
public struct PlanDeparture: Hashable, Sendable {
  public var milliseconds: Int64
  public var lane: Int
  public var records: RecordNumbers
  public var condition: FailureCondition
  /// Deliveries that used up an attempt.
  public var attempts: Int
}

/// A batch that nothing in the policy ends.
public struct EndlessBatch: Hashable, Sendable {
  public var lane: Int
  public var records: RecordNumbers
  /// The records behind it in the lane, which wait as long.
  public var waiting: Int
  /// The time from one delivery to the next, when waits have come to their longest.
  public var everyMilliseconds: Int64
}

/// What becomes of a record.
public struct RecordFate: Hashable, Sendable {
  public var number: Int
  public var isHealthy: Bool
  /// How often the handler got it.
  public var deliveries: Int
  public var outcome: Outcome

  public enum Outcome: Hashable, Sendable {
    case succeeded(milliseconds: Int64)
    case left(FailureCondition, milliseconds: Int64)
    /// Neither, by the end of the plan.
    case waiting
  }
}

/// Numbers of records in ascending order, as stretches without a gap: `1–4, 6`.
public struct RecordNumbers: Hashable, Sendable, CustomStringConvertible {
  public private(set) var stretches: [ClosedRange<Int>] = []
  public private(set) var count = 0

  public init() {}

  public init(_ range: ClosedRange<Int>) {
    stretches = [range]
    count = range.count
  }

  /// Numbers in ascending order.
  public init(_ numbers: [Int]) {
    for number in numbers { append(number) }
  }

  public var first: Int? { stretches.first?.lowerBound }
  public var last: Int? { stretches.last?.upperBound }

  /// `number` is greater than all before it.
  mutating func append(_ number: Int) {
    precondition(last ?? .min < number, "numbers of records ascend")
    if let stretch = stretches.last, stretch.upperBound + 1 == number {
      stretches[stretches.count - 1] = stretch.lowerBound...number
    } else {
      stretches.append(number...number)
    }
    count += 1
  }

  /// The first `count` of them, and the others.
  func split(at count: Int) -> (RecordNumbers, RecordNumbers) {
    var (left, right) = (RecordNumbers(), RecordNumbers())
    for number in self { if left.count < count { left.append(number) } else { right.append(number) } }
    return (left, right)
  }

  public var description: String {
    stretches.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)–\($0.upperBound)" }.joined(separator: ", ")
  }
}

extension RecordNumbers: Sequence {
  public func makeIterator() -> FlattenSequence<[ClosedRange<Int>]>.Iterator { stretches.joined().makeIterator() }
}
