/// The first line of a run file: what was replayed, and how.
public struct RunHeader: Codable, Hashable, Sendable {
  /// The version of the format.
  public var run = 1
  public var stream: String
  public var mapping: String
  /// The function, or the command.
  public var handler: String
  /// Settings of the mapping, by name.
  public var settings: [String: String]
  public var seed: UInt64
  /// `virtual`: as recorded, and no real time was waited for; `max`: everything was there from the beginning; a number such
  /// as `10`: so many times as fast as it was recorded, in real time.
  public var speed: String
  public var from: Int64?
  public var to: Int64?
  public var shards: [UInt32]?
  /// Real times and memory were measured: then no two runs have the same bytes.
  public var measured: Bool?

  public init(
    stream: String, mapping: String, handler: String, settings: [String: String], seed: UInt64,
    speed: String
  ) {
    self.stream = stream
    self.mapping = mapping
    self.handler = handler
    self.settings = settings
    self.seed = seed
    self.speed = speed
  }
}

/// An invocation of the handler, or one that did not come to it.
public struct RunInvocation: Codable, Hashable, Sendable {
  /// Counted from 1, in the order in which they ended.
  public var invocation: UInt64
  /// Virtual time, in milliseconds since 1970.
  public var begunAt: Int64
  public var endedAt: Int64
  public var shard: UInt32
  public var lane: Int
  /// First and last index of each stretch of records without a gap. Empty at the end of a tumbling window.
  public var records: [[UInt64]]
  /// 1 for the first delivery of the batch.
  public var attempt: Int
  /// `succeeded`, `reported` (a record by the handler, and those before it are done) or `failed`.
  public var result: String
  /// The record that was reported.
  public var reported: UInt64?
  /// How it failed: the kind, the error's type and its message.
  public var failure: String?
  public var errorType: String?
  public var errorMessage: String?
  /// What the handler answered, as it is; of a long answer the beginning, and what stands for all of it.
  public var answer: String?
  public var answerRest: RunRest?
  /// Of a tumbling window: when it begins and ends, in milliseconds since 1970, and the state that was handed on in it;
  /// of a long state the beginning, and what stands for all of it.
  public var window: [Int64]?
  public var state: String?
  public var stateRest: RunRest?
  /// How long it really took, if that was asked for.
  public var tookMicroseconds: Int64?
}

/// Records that left their lane without success; none, if it is the state of a tumbling window.
public struct RunDeparture: Codable, Hashable, Sendable {
  public var left: UInt64
  public var at: Int64
  public var shard: UInt32
  public var lane: Int
  public var first: UInt64
  public var last: UInt64
  public var records: [[UInt64]]
  public var condition: String
  public var attempts: Int
}

/// A shard of the recording: its sequence numbers are made of when it was created.
struct RunShard: Codable {
  /// Seconds since 1970.
  var createdAtSeconds: UInt64
  var shard: UInt32
}

/// The last line.
public struct RunEnd: Codable, Hashable, Sendable {
  public var ended: Bool
  public var invocations: UInt64
  public var records: UInt64
  /// Failure entries, and the records in them.
  public var departures: UInt64
  public var leftRecords: UInt64
  /// Invocations that failed, or reported a record.
  public var failures: UInt64
  /// Virtual time from the first record to the end, in milliseconds.
  public var milliseconds: Int64
  /// Lanes that had not come to their end: something in them fails again and again.
  public var unsettledLanes: [String]
  /// Of a run in real time: how old the newest record of a batch was at most when it was delivered for the first time, in
  /// virtual milliseconds.
  public var greatestLagMilliseconds: Int64?
  /// The largest resident memory of a process of the handler that was seen, if that was asked for.
  public var peakMemoryBytes: Int64?
}
