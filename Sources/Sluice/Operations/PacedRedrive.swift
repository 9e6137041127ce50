/// Failure entries that are delivered again one after the other, at most so many records a second. What has succeeded has
/// left the list, so whoever is interrupted begins again with those that are left.
public struct PacedRedrive: Sendable {
  /// By their numbers, in the order in which it was known.
  public private(set) var succeeded: [UInt64] = []
  public private(set) var failed: [UInt64] = []
  /// Behind one that failed in the same shard: they would overtake it.
  public private(set) var left: [UInt64] = []
  public private(set) var succeededRecords = 0

  private var waiting: [FailureReport]
  private let recordsPerSecond: Double
  private var begunRecords = 0

  public enum Step: Sendable {
    case redrive(FailureReport)
    /// Not before this moment, counted from the beginning.
    case wait(until: Duration)
    case done
  }

  /// `recordsPerSecond` is more than zero. In each shard entries go in the order of their records.
  public init(_ entries: [FailureReport], recordsPerSecond: Double) {
    precondition(recordsPerSecond > 0, "a redrive gets on")
    self.recordsPerSecond = recordsPerSecond
    waiting = entries.sorted { Self.place($0) < Self.place($1) }.reversed()
  }

  /// Sequence numbers of one shard are equally long, and their digits in order.
  private static func place(_ entry: FailureReport) -> (String, String, String, UInt64) {
    (entry.stream, entry.shard, entry.firstSequenceNumber, entry.entry)
  }

  /// How many are neither delivered nor given up.
  public var waitingCount: Int { waiting.count }

  /// What to do at this moment after the beginning. An entry that is to be redriven must be ended before this is asked again.
  public mutating func next(at elapsed: Duration) -> Step {
    guard let entry = waiting.last else { return .done }
    let due = Duration.seconds(Double(begunRecords) / recordsPerSecond)
    guard elapsed >= due else { return .wait(until: due) }
    waiting.removeLast()
    begunRecords += max(1, entry.records)
    return .redrive(entry)
  }

  /// The entry left the list, or stays on it.
  public mutating func end(_ entry: FailureReport, succeeded hasSucceeded: Bool) {
    guard !hasSucceeded else {
      succeeded.append(entry.entry)
      succeededRecords += entry.records
      return
    }
    failed.append(entry.entry)
    func standsBehind(_ other: FailureReport) -> Bool {
      other.mapping == entry.mapping && other.stream == entry.stream && other.shard == entry.shard
    }
    left += waiting.reversed().filter(standsBehind).map(\.entry)
    waiting.removeAll(where: standsBehind)
  }
}
