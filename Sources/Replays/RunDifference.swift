import StreamModel

/// What one run made otherwise than another.
public struct RunDifference: Codable, Hashable, Sendable {
  /// Records whose outcome is another one.
  public struct Record: Codable, Hashable, Sendable {
    public var shard: UInt32
    public var first: UInt64
    public var last: UInt64
    public var before: String
    public var after: String
    /// The records' names, as far as they are known: of many the first ones and the last one.
    public var names: [RecordName] = []

    public var count: UInt64 { last - first + 1 }
  }

  /// A batch that succeeded in both runs, and was answered otherwise.
  public struct Answer: Codable, Hashable, Sendable {
    public var shard: UInt32
    public var records: [[UInt64]]
    public var before: String
    public var after: String
    /// The name of the batch's first record, as far as it is known.
    public var firstRecord: RecordName?
  }

  /// A tumbling window that came to another state; `nil` where a run has none of it.
  public struct Window: Codable, Hashable, Sendable {
    public var shard: UInt32
    /// Milliseconds since 1970.
    public var begin: Int64
    public var end: Int64
    public var before: String?
    public var after: String?
  }

  /// Succeeded before, and does not any more.
  public var newlyFailing: [Record] = []
  public var newlySucceeding: [Record] = []
  /// Succeed in neither, and for another reason.
  public var failingOtherwise: [Record] = []
  public var answers: [Answer] = []
  /// Batches that succeeded in both runs, whose answers were compared.
  public var comparedAnswers = 0
  public var windows: [Window] = []
  /// Tumbling windows of both runs.
  public var comparedWindows = 0
  /// Settings with another value, before and after.
  public var settings: [String: [String]] = [:]
  /// Before and after; `nil` of what really happened, where nobody knows it.
  public var invocations: [UInt64?]
  public var failures: [UInt64?]
  /// Virtual time.
  public var milliseconds: [Int64?]
  /// Records that were not compared with what really happened, because they had not been delivered by then, or were not
  /// delivered in the run.
  public var notCompared: UInt64 = 0
  /// What was really measured, before and after; `nil` where it was not.
  public var durations: [RunDurations?]

  /// Nothing that a record came to, or that was answered, is another one.
  public var isSame: Bool {
    newlyFailing.isEmpty && newlySucceeding.isEmpty && failingOtherwise.isEmpty && answers.isEmpty
      && windows.isEmpty
  }

  /// In words, if it is the same: what was compared.
  public var sameness: String {
    let same = "every record came to the same"
    guard !invocations.contains(nil) else { return same + "; of what really happened nobody knows the answers" }
    guard comparedAnswers + comparedWindows > 0 else {
      return same + "; no batch that succeeded was the same in both, so no answers were compared"
    }
    let states =
      comparedWindows > 0 ? ", and none of \(comparedWindows.withThousands) tumbling windows came to another state" : ""
    return same + ", and none of \(comparedAnswers.withThousands) answers changed" + states
  }

  public init(_ before: RunFile, _ after: RunFile) {
    let runs = [before, after]
    invocations = runs.map { $0.isRecorded ? nil : $0.end.invocations }
    failures = runs.map { $0.isRecorded ? nil : $0.end.failures }
    milliseconds = runs.map { $0.isRecorded ? nil : $0.end.milliseconds }
    durations = [before.durations, after.durations]
    for shard in Set(before.outcomes.keys).union(after.outcomes.keys).sorted() {
      compare(
        Known(before, shard, isExact: !after.isRecorded), Known(after, shard, isExact: !before.isRecorded), of: shard)
    }
    for (delivered, answer) in before.answers.sorted(by: { $0.key < $1.key }) {
      guard let other = after.answers[delivered] else { continue }
      comparedAnswers += 1
      guard other != answer else { continue }
      answers.append(Answer(shard: delivered.shard, records: delivered.records, before: answer, after: other))
    }
    for window in Set(before.windows.keys).union(after.windows.keys).sorted() {
      let (former, latter) = (before.windows[window], after.windows[window])
      if former != nil, latter != nil { comparedWindows += 1 }
      guard former != latter else { continue }
      windows.append(
        Window(shard: window.shard, begin: window.begin, end: window.end, before: former, after: latter))
    }
    name(with: RecordNames(createdAtSeconds: before.shardTimes.merging(after.shardTimes) { $1 }))
    // What settings were in force when it happened nobody knows.
    guard !before.isRecorded, !after.isRecorded else { return }
    for name in Set(before.header.settings.keys).union(after.header.settings.keys) {
      let values = [before.header.settings[name] ?? "", after.header.settings[name] ?? ""]
      if values[0] != values[1] { settings[name] = values }
    }
  }

  /// What is known of the records of one shard.
  private struct Known {
    let stretches: [RunFile.Stretch]
    /// What a record came to of which nothing is known; `nil` if it is not to be compared.
    let other: RunOutcome?
    let hasErrors: Bool

    /// `isExact`: both runs are known delivery by delivery. Otherwise a record that a run did not deliver was filtered out,
    /// or was not in its part, unless its lane did not come to its end.
    init(_ run: RunFile, _ shard: UInt32, isExact: Bool) {
      stretches = run.outcomes[shard] ?? []
      let isCompared = !run.isRecorded && (isExact || !run.isSettled(shard))
      other = isCompared ? .unsettled : nil
      hasErrors = run.hasErrors
    }

    func outcome(_ place: Int, at index: UInt64) -> RunOutcome? {
      guard place < stretches.count, stretches[place].records.contains(index) else { return other }
      return stretches[place].outcome == .waiting ? nil : stretches[place].outcome
    }
  }

  /// Walks through both, from each place at which one of them changes to the next.
  private mutating func compare(_ before: Known, _ after: Known, of shard: UInt32) {
    var ends: Set<UInt64> = []
    for stretch in before.stretches + after.stretches {
      ends.insert(stretch.records.lowerBound)
      ends.insert(stretch.records.upperBound + 1)
    }
    let places = ends.sorted()
    var (left, right) = (0, 0)
    for (first, end) in zip(places, places.dropFirst()) {
      while left < before.stretches.count, before.stretches[left].records.upperBound < first { left += 1 }
      while right < after.stretches.count, after.stretches[right].records.upperBound < first { right += 1 }
      guard var former = before.outcome(left, at: first), var latter = after.outcome(right, at: first) else {
        notCompared += end - first
        continue
      }
      if !before.hasErrors || !after.hasErrors { (former, latter) = (former.withoutError, latter.withoutError) }
      guard former != latter else { continue }
      let record = Record(shard: shard, first: first, last: end - 1, before: former.text, after: latter.text)
      switch (former, latter) {
      case (.succeeded, _): newlyFailing.append(record)
      case (_, .succeeded): newlySucceeding.append(record)
      default: failingOtherwise.append(record)
      }
    }
  }
}
