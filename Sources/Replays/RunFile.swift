import Foundation
import StreamModel

/// What became of records in a run.
public enum RunOutcome: Hashable, Sendable {
  case succeeded
  /// They left their lane: why, and how the last delivery before failed.
  case left(condition: String, error: String?)
  /// Under retry when what happened was recorded.
  case retrying(attempts: Int, error: String?)
  /// Not delivered yet when what happened was recorded.
  case waiting
  /// Neither, by the end of the run.
  case unsettled

  public var text: String {
    switch self {
    case .succeeded: "succeeded"
    case .left(let condition, let error): error.map { "\(condition): \($0)" } ?? condition
    case .retrying(let attempts, let error):
      "under retry after \(attempts) attempt\(attempts == 1 ? "" : "s")" + (error.map { ": \($0)" } ?? "")
    case .waiting: "not delivered yet"
    case .unsettled: "unsettled"
    }
  }

  /// The same without what handlers said.
  var withoutError: RunOutcome {
    switch self {
    case .left(let condition, error: _): .left(condition: condition, error: nil)
    case .retrying(let attempts, error: _): .retrying(attempts: attempts, error: nil)
    case .succeeded, .waiting, .unsettled: self
    }
  }
}

/// Why a run file cannot be read.
public struct RunFileError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The line, counted from 1.
  public var line: Int
  public var reason: String

  public var description: String { "line \(line): \(reason)" }
}

/// A run, as two of them are compared.
public struct RunFile: Sendable {
  /// A delivery that succeeded: what it was of.
  struct Delivered: Hashable, Comparable, Sendable {
    var shard: UInt32
    var records: [[UInt64]]

    static func < (left: Delivered, right: Delivered) -> Bool {
      (left.shard, left.records.first?.first ?? .max) < (right.shard, right.records.first?.first ?? .max)
    }
  }

  /// A tumbling window of a shard: when it begins, and ends.
  struct Window: Hashable, Comparable, Sendable {
    var shard: UInt32
    var begin: Int64
    var end: Int64

    static func < (left: Window, right: Window) -> Bool {
      (left.begin, left.shard, left.end) < (right.begin, right.shard, right.end)
    }
  }

  /// When an invocation ended, in virtual milliseconds since 1970, and whether it succeeded.
  struct Moment: Hashable, Sendable {
    var at: Int64
    var succeeded: Bool
  }

  typealias Stretch = (records: ClosedRange<UInt64>, outcome: RunOutcome)

  public let header: RunHeader
  public let end: RunEnd
  /// When its shards were created, in seconds since 1970, where sequence numbers are made of it.
  let shardTimes: [UInt32: UInt64]
  /// By shard: records from one index to another, in their order.
  let outcomes: [UInt32: [Stretch]]
  /// What succeeded was answered with.
  let answers: [Delivered: String]
  /// What was handed on last in each tumbling window.
  let windows: [Window: String]
  /// The invocations, in the order in which they ended.
  let moments: [Moment]
  /// What invocations really took, if that was measured.
  public let durations: RunDurations?
  /// It is what really happened, out of a recording: of deliveries that succeeded nothing is known.
  public let isRecorded: Bool
  /// What handlers said was taken out.
  let hasErrors: Bool

  /// Reads the lines of a file, which `next` gives one by one.
  public init(_ next: () throws -> ArraySlice<UInt8>?) throws {
    let decoder = JSONDecoder()
    var number = 0
    func read<Line: Decodable>(_ type: Line.Type, _ line: ArraySlice<UInt8>) throws -> Line {
      do {
        return try decoder.decode(type, from: Data(line))
      } catch {
        throw RunFileError(line: number, reason: "the line is none of a run file")
      }
    }
    var (header, end): (RunHeader?, RunEnd?) = (nil, nil)
    var collected = Collected()
    while let line = try next() {
      number += 1
      let kind = try read(Kind.self, line)
      guard end == nil else { throw RunFileError(line: number, reason: "something follows the end of the run") }
      if header == nil {
        guard let version = kind.run else { throw RunFileError(line: number, reason: "this is not a run file") }
        guard version == 1 else {
          throw RunFileError(line: number, reason: "the run is of format \(version), and this program reads format 1")
        }
        header = try read(RunHeader.self, line)
      } else if kind.invocation != nil {
        collected.take(try read(RunInvocation.self, line))
      } else if kind.left != nil {
        collected.take(try read(RunDeparture.self, line))
      } else if let seconds = kind.createdAtSeconds {
        collected.shardTimes[try read(RunShard.self, line).shard] = seconds
      } else if kind.ended != nil {
        end = try read(RunEnd.self, line)
      } else if kind.lost == nil {
        throw RunFileError(line: number, reason: "the line is none of a run file")
      }
    }
    guard let header else { throw RunFileError(line: 1, reason: "the file is empty") }
    guard let end else { throw RunFileError(line: number, reason: "the run has no end: it was interrupted") }
    self.header = header
    self.end = end
    shardTimes = collected.shardTimes
    outcomes = collected.outcomes.mapValues { $0.sorted { $0.records.lowerBound < $1.records.lowerBound } }
    answers = collected.answers
    windows = collected.windows
    moments = collected.moments
    durations = RunDurations(microseconds: collected.durations, peakMemoryBytes: end.peakMemoryBytes)
    isRecorded = false
    hasErrors = true
  }

  /// What really happened, in place of a run.
  public init(_ recorded: RecordedRun) {
    header = recorded.header
    end = recorded.end
    shardTimes = [:]
    outcomes = recorded.outcomes
    answers = [:]
    windows = [:]
    moments = []
    durations = nil
    isRecorded = true
    hasErrors = recorded.hasErrors
  }

  /// Whether every record of the shard that was delivered came to its end.
  func isSettled(_ shard: UInt32) -> Bool {
    let name = "\(ShardNumber(shard))"
    return !end.unsettledLanes.contains { $0 == name || $0.hasPrefix("\(name) ") }
  }

  /// Says what a line is.
  private struct Kind: Decodable {
    var run: Int?
    var invocation: UInt64?
    var left: UInt64?
    var lost: UInt64?
    var createdAtSeconds: UInt64?
    var ended: Bool?
  }
}

/// What the lines of a run say, one after the other.
private struct Collected {
  var shardTimes: [UInt32: UInt64] = [:]
  var outcomes: [UInt32: [RunFile.Stretch]] = [:]
  var answers: [RunFile.Delivered: String] = [:]
  var windows: [RunFile.Window: String] = [:]
  var moments: [RunFile.Moment] = []
  var durations: [Int64] = []
  /// How the last delivery of each lane failed.
  private var errors: [Lane: String] = [:]

  private struct Lane: Hashable {
    var shard: UInt32
    var lane: Int
  }

  mutating func take(_ line: RunInvocation) {
    moments.append(RunFile.Moment(at: line.endedAt, succeeded: line.result == "succeeded"))
    if let took = line.tookMicroseconds { durations.append(took) }
    if let state = line.state, let window = line.window, window.count == 2 {
      windows[RunFile.Window(shard: line.shard, begin: window[0], end: window[1])] =
        state + (line.stateRest?.text ?? "")
    }
    let lane = Lane(shard: line.shard, lane: line.lane)
    guard line.result != "failed" else {
      let parts = [line.errorType ?? line.failure ?? "", line.errorMessage ?? ""].filter { !$0.isEmpty }
      errors[lane] = parts.joined(separator: ": ")
      return
    }
    for stretch in line.records.compactMap(Self.range) {
      guard let reported = line.reported else {
        add(stretch, .succeeded, of: line.shard)
        continue
      }
      if stretch.lowerBound < reported {
        add(stretch.lowerBound...min(stretch.upperBound, reported - 1), .succeeded, of: line.shard)
      }
    }
    errors[lane] = line.reported.map { "reported \($0)" }
    if line.reported == nil, let answer = line.answer {
      answers[RunFile.Delivered(shard: line.shard, records: line.records)] = answer + (line.answerRest?.text ?? "")
    }
  }

  mutating func take(_ line: RunDeparture) {
    let error = errors[Lane(shard: line.shard, lane: line.lane)]
    for stretch in line.records.compactMap(Self.range) {
      add(stretch, .left(condition: line.condition, error: error), of: line.shard)
    }
  }

  private mutating func add(_ records: ClosedRange<UInt64>, _ outcome: RunOutcome, of shard: UInt32) {
    if let last = outcomes[shard]?.last, last.outcome == outcome, last.records.upperBound + 1 == records.lowerBound,
      let place = outcomes[shard]?.indices.last
    {
      outcomes[shard]?[place].records = last.records.lowerBound...records.upperBound
    } else {
      outcomes[shard, default: []].append((records, outcome))
    }
  }

  private static func range(_ ends: [UInt64]) -> ClosedRange<UInt64>? {
    ends.count == 2 && ends[0] <= ends[1] ? ends[0]...ends[1] : nil
  }
}
