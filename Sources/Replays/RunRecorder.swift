import ShardCore
public import StreamModel
public import StreamRuntime

/// Writes what happens in a replay into a run file.
public struct RunRecorder {
  private var file: RunFileWriter
  private var invocations: UInt64 = 0
  private var departures: UInt64 = 0
  private var leftRecords: UInt64 = 0
  public private(set) var failures: UInt64 = 0
  /// What the last invocation that failed gave: the type of the error, its message, and the last line that it wrote.
  public private(set) var lastFailure: String?
  private let isMeasured: Bool

  /// What is kept of an answer or a state, in bytes; of a longer one also how long it is, and a hash of it.
  public static let answerByteLimit = 4_096

  public init(_ header: RunHeader, _ write: @escaping ([UInt8]) throws -> Void) throws {
    file = RunFileWriter(write)
    isMeasured = header.measured ?? false
    try file.append(header)
  }

  public mutating func take(_ event: ReplayEvent, _ note: InvocationNote?) throws {
    switch event {
    case .delivered(let delivery): try take(delivery, note)
    case .left(let order, of: let place, at: let moment): try take(order, place, moment)
    case .progressed: return
    case .lost(let count, of: let place, at: let moment):
      try file.append(
        RunLoss(
          lost: count, at: moment.milliseconds, shard: place.shard.shard.rawValue, lane: place.slot)
      )
    }
  }

  /// Writes the last lines and gives the very last one. `shards`: when shards were created, in seconds since 1970, where
  /// sequence numbers are made of it.
  public mutating func end(
    records: UInt64, milliseconds: Int64, unsettled: [LanePlace], shards: [ShardNumber: UInt64] = [:],
    greatestLagMilliseconds: Int64? = nil, peakMemoryBytes: Int64? = nil
  ) throws -> RunEnd {
    for (shard, seconds) in shards.sorted(by: { $0.key < $1.key }) {
      try file.append(RunShard(createdAtSeconds: seconds, shard: shard.rawValue))
    }
    var end = RunEnd(
      ended: true, invocations: invocations, records: records, departures: departures,
      leftRecords: leftRecords,
      failures: failures, milliseconds: milliseconds,
      unsettledLanes: unsettled.map {
        $0.sharing.factor == 1 ? "\($0.shard.shard)" : "\($0.shard.shard) lane \($0.slot)"
      })
    end.greatestLagMilliseconds = greatestLagMilliseconds
    end.peakMemoryBytes = isMeasured ? peakMemoryBytes : nil
    try file.append(end)
    try file.flush()
    return end
  }

  private mutating func take(_ delivery: ReplayDelivery, _ note: InvocationNote?) throws {
    invocations += 1
    let extent = delivery.delivery.extent
    var line = RunInvocation(
      invocation: invocations, begunAt: delivery.begunAt.milliseconds,
      endedAt: delivery.endedAt.milliseconds,
      shard: delivery.place.shard.shard.rawValue, lane: delivery.place.slot,
      records: note.map { $0.stretches.map { [$0.lowerBound, $0.upperBound] } }
        ?? (extent.isEmpty ? [] : [[extent.first.rawValue, extent.last.rawValue]]),
      attempt: delivery.delivery.attempt, result: "succeeded")
    switch delivery.answer {
    case .succeeded, .returned: break
    case .failed(at: let index, position: _),
      .failedAmong(at: let index, position: _, remaining: _),
      .returnedPart(_, failedAt: let index, position: _):
      line.result = "reported"
      line.reported = index.rawValue
    case .recordFailed(let record):
      line.result = "reported"
      line.reported = record.index.rawValue
    case .faulted(let kind, rule: _):
      line.result = "failed"
      line.failure = kind.name
      lastFailure = note?.failure.map(Self.words(of:)) ?? kind.name
      line.errorType = note?.failure?.type
      line.errorMessage = note?.failure?.message
    }
    if line.result != "succeeded" { failures += 1 }
    let answer = note?.answer.map { KeptText($0, limit: Self.answerByteLimit) }
    line.answer = answer?.text
    line.answerRest = answer?.rest
    line.window = note?.window.map { [$0.start.milliseconds, $0.end.milliseconds] }
    let state = note?.state.map { KeptText($0.bytes, limit: Self.answerByteLimit) }
    line.state = state?.text
    line.stateRest = state?.rest
    if isMeasured { line.tookMicroseconds = note.map { Int64($0.took / .microseconds(1)) } }
    try file.append(line)
  }

  /// The type of the error, its message, and the last line that a process wrote that ended.
  public static func words(of failure: HandlerFailure) -> String {
    let said = [failure.type, failure.message].filter { !$0.isEmpty }.joined(separator: ": ")
    // The last line of a traceback is the error once more.
    guard failure.kind == .exited, let last = failure.trace.last(where: { !$0.isEmpty }), !last.contains(failure.type)
    else { return said }
    return "\(said): \(last)"
  }

  private mutating func take(_ order: FailureOrder, _ place: LanePlace, _ moment: WallTime) throws {
    departures += 1
    leftRecords += UInt64(order.extent.count)
    let (first, last) = (order.extent.first.rawValue, order.extent.last.rawValue)
    var records = order.ranges.map { [$0.first.rawValue, $0.last.rawValue] }
    if records.isEmpty, !order.extent.isEmpty { records = [[first, last]] }
    try file.append(
      RunDeparture(
        left: UInt64(order.extent.count), at: moment.milliseconds,
        shard: place.shard.shard.rawValue, lane: place.slot,
        first: first, last: last, records: records, condition: order.condition.name,
        attempts: order.attempts))
  }
}

/// Records that are not in the recording.
struct RunLoss: Codable {
  var lost: UInt64
  var at: Int64
  var shard: UInt32
  var lane: Int
}
