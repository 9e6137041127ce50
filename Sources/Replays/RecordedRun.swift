public import Recordings
import StreamModel

/// What really happened to the records of a recording, so that it can be compared with a run.
public struct RecordedRun {
  let header: RunHeader
  let end: RunEnd
  let outcomes: [UInt32: [RunFile.Stretch]]
  let hasErrors: Bool

  /// Why a recording does not tell what happened.
  public struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String
  }

  /// Reads a recording to its end.
  public init(_ reader: consuming RecordingReader) throws {
    let header = reader.header
    guard let told = header.outcomes else {
      throw Problem(
        description: "the recording does not hold what happened: sluice record MAPPING --outcomes makes one that does")
    }
    var stretches: [UInt32: [RunFile.Stretch]] = [:]
    var (entries, failed): (Set<UInt64>, UInt64) = ([], 0)
    while let line = try reader.next() {
      guard case .outcome(let outcome) = line else { continue }
      let result = RunOutcome(outcome)
      for range in outcome.records {
        stretches[outcome.shard.rawValue, default: []].append((range.first.rawValue...range.last.rawValue, result))
        if outcome.kind == .failed { failed += range.count }
      }
      if let entry = outcome.failure?.entry { entries.insert(entry) }
    }
    if case .interrupted(let problem)? = reader.ending {
      throw Problem(description: "what happened stands at the end of a recording, and \(problem)")
    }
    self.header = RunHeader(
      stream: header.stream, mapping: told.mapping, handler: "as it happened", settings: [:], seed: 0, speed: "1")
    end = RunEnd(
      ended: true, invocations: 0, records: reader.recordCount, departures: UInt64(entries.count), leftRecords: failed,
      failures: 0, milliseconds: 0, unsettledLanes: [])
    hasErrors = !header.isRedacted
    outcomes = stretches.mapValues(Self.inOrder)
  }

  /// Where a record is in several entries the first one counts: so do later stretches only with what they add.
  private static func inOrder(_ stretches: [RunFile.Stretch]) -> [RunFile.Stretch] {
    var ordered: [RunFile.Stretch] = []
    for stretch in stretches.sorted(by: { $0.records.lowerBound < $1.records.lowerBound }) {
      let first = max(stretch.records.lowerBound, ordered.last.map { $0.records.upperBound + 1 } ?? 0)
      guard first <= stretch.records.upperBound else { continue }
      ordered.append((first...stretch.records.upperBound, stretch.outcome))
    }
    return ordered
  }
}

extension RunOutcome {
  fileprivate init(_ outcome: RecordedOutcome) {
    let error = outcome.failure.flatMap { $0.error(of: outcome.records.first?.first) }
    switch outcome.kind {
    case .passed: self = .succeeded
    case .failed: self = .left(condition: outcome.failure?.condition ?? "", error: error)
    case .retrying: self = .retrying(attempts: outcome.failure?.attempts ?? 0, error: error)
    case .waiting: self = .waiting
    }
  }
}

extension RecordedFailure {
  /// The last delivery's, as a run tells it.
  fileprivate func error(of first: RecordIndex?) -> String? {
    guard let last = deliveries.last else { return nil }
    if last.type == Self.reportedType, let first { return "reported \(first.rawValue)" }
    return [last.type, last.message].filter { !$0.isEmpty }.joined(separator: ": ")
  }

  /// Of a delivery in which the handler named the record.
  private static let reportedType = "BatchItemFailure"
}
