public import EventPattern
import ShardCore
public import StreamModel

/// Which records of a shard are delivered by a lane. The lane has its own, which may keep memory to work in.
///
/// A selection is a pure function of the record: the same record is judged alike whenever it is read.
public protocol RecordSelecting: Sendable {
  mutating func verdict(on record: borrowing RecordView) -> SelectionVerdict

  /// What of the judgement can be told from a record's place and partition key alone; `nil`: nothing.
  var keyShare: KeyShare? { get }
}

extension RecordSelecting {
  public var keyShare: KeyShare? { nil }
}

/// The share of its shard's partition keys that a lane has. Ten lanes look at ten times the records that they take, so
/// what is asked of each must be cheap.
public struct KeyShare: Hashable, Sendable {
  var sharing: LaneSharing
  /// 0 ..< sharing.factor.
  var slot: Int
  /// Nothing else is asked of a record.
  var isWhole: Bool
}

/// What becomes of a record that was read.
public enum SelectionVerdict: Hashable, Sendable {
  case taken
  /// Another lane of the shard delivers it, or has.
  case anotherLane
  /// `FilterCriteria` hold it back.
  case filteredOut
  /// `FilterCriteria` hold it back because they ask for fields of its data, and its data is not JSON.
  case notJSON(JSONFault)
  /// Taken, although no pattern was found to match: not all ways in which its arrays combine were tried.
  case undecided
  /// It is done: its mapping remembers its key.
  case done
  /// The batch ends before it: what becomes of it depends on a record of the batch.
  case endsBatch

  /// The lane delivers it.
  var isTaken: Bool {
    switch self {
    case .taken, .undecided: true
    case .anotherLane, .filteredOut, .notJSON, .done, .endsBatch: false
    }
  }

  /// Why the filter could not judge the record, if that is so.
  var doubt: String? {
    switch self {
    case .notJSON(let fault): fault.description
    case .undecided: "its arrays combine in more than \(EventMatcher.combinationLimit) ways"
    case .taken, .anotherLane, .filteredOut, .done, .endsBatch: nil
    }
  }
}

/// Takes what `FilterCriteria` let through.
public struct FilterSelection: RecordSelecting {
  private var matcher: EventMatcher

  public init(_ matcher: EventMatcher) {
    self.matcher = matcher
  }

  public mutating func verdict(on record: borrowing RecordView) -> SelectionVerdict {
    SelectionVerdict(matcher.verdict(on: record))
  }
}

extension SelectionVerdict {
  /// What a filter makes of a record.
  init(_ verdict: FilterVerdict) {
    switch verdict {
    case .matched: self = .taken
    case .tooManyCombinations: self = .undecided
    case .notMatched: self = .filteredOut
    case .notJSON(let fault): self = .notJSON(fault)
    }
  }
}

/// Records that a lane has read for the first time since it was opened.
public struct ReadCounts: Hashable, Sendable {
  public var polled = 0
  public var filteredOut = 0
  /// Those of `filteredOut` whose data is not JSON.
  public var notJSON = 0
  /// Records that were let through because not all ways in which their arrays combine were tried.
  public var undecided = 0
  /// Records that are done, of which a key is remembered.
  public var done = 0

  public init() {}
}
