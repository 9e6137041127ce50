internal import LMDB
internal import StreamModel

extension FailureSummary {
  func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(mapping.rawValue)
    writer.write(mappingName)
    writer.write(streamName)
    writer.write(address.stream.rawValue)
    writer.write(address.shard.rawValue)
    writer.write(shardCreatedAtSeconds)
    writer.write(firstIndex)
    writer.write(lastIndex)
    writer.write(UInt32(count))
    writer.write(firstArrival)
    writer.write(lastArrival)
    let hasStory = attemptsOmitted > 0 || !events.isEmpty
    writer.write(
      condition.rawValue | (window == nil ? 0 : FailedWindow.flag) | (hasStory ? RecordEvent.storyFlag : 0))
    writer.write(UInt32(attempts))
    writer.write(createdAt)
    if let window { writer.write(window) }
    if hasStory {
      writer.write(UInt32(attemptsOmitted))
      writer.write(UInt32(events.count))
      for event in events {
        writer.write(event.kind.rawValue)
        writer.write(event.at)
        writer.write(event.actor ?? "")
      }
    }
    writer.write(UInt32(history.count))
    for attempt in history {
      writer.write(attempt.startedAt)
      writer.write(attempt.durationMilliseconds)
      writer.write(attempt.flaggedKind)
      writer.write(attempt.type)
      writer.write(attempt.message)
      writer.write(UInt32(attempt.trace.count))
      for line in attempt.trace { writer.write(line) }
      writer.write(attempt.requestID)
      if let rule = attempt.rule { writer.write(rule) }
      if let batch = attempt.batch { writer.write(batch) }
      if let redriver = attempt.redriver { writer.write(redriver) }
    }
    writer.write(UInt32(redrives))
    writer.write(lastRedrive != nil)
    if let lastRedrive {
      writer.write(lastRedrive.endedAt)
      writer.write(lastRedrive.succeeded)
      writer.write(lastRedrive.message)
    }
    // Behind everything else, so that an entry from before there were destinations ends here.
    if let delivery { delivery.write(to: &writer) }
    return writer.bytes
  }

  init(number: UInt64, decoding reader: ByteReader) throws(LMDBError) {
    var reader = reader
    let mapping = MappingNumber(try reader.read())
    let mappingName = try reader.readText()
    let streamName = try reader.readText()
    let address = ShardAddress(stream: StreamNumber(try reader.read()), shard: ShardNumber(try reader.read()))
    let seconds: UInt64 = try reader.read()
    let (first, last) = (try reader.readIndex(), try reader.readIndex())
    let count = Int(try reader.read(UInt32.self))
    let (firstArrival, lastArrival) = (try reader.readTime(), try reader.readTime())
    let byte: UInt8 = try reader.read()
    guard let condition = FailureCondition(rawValue: byte & ~(FailedWindow.flag | RecordEvent.storyFlag)),
      count == 0 ? last.rawValue &+ 1 == first.rawValue : first <= last && UInt64(count - 1) <= first.distance(to: last)
    else { throw reader.damaged }
    let attempts = Int(try reader.read(UInt32.self))
    let createdAt = try reader.readTime()
    let window = byte & FailedWindow.flag == 0 ? nil : try FailedWindow(reading: &reader)
    guard count > 0 || window?.isFinal == true else { throw reader.damaged }
    var omitted = 0
    var events: [RecordEvent] = []
    if byte & RecordEvent.storyFlag != 0 {
      omitted = Int(try reader.read(UInt32.self))
      for _ in 0..<(try reader.readCount()) { events.append(try RecordEvent(reading: &reader)) }
    }
    var history: [AttemptRecord] = []
    for _ in 0..<(try reader.readCount()) { history.append(try AttemptRecord(reading: &reader)) }
    self.init(
      mapping: mapping, mappingName: mappingName, streamName: streamName, address: address,
      shardCreatedAtSeconds: seconds, firstIndex: first, lastIndex: last, count: count,
      firstArrival: firstArrival, lastArrival: lastArrival, condition: condition, attempts: attempts, history: history,
      createdAt: createdAt)
    self.number = number
    self.window = window
    self.attemptsOmitted = omitted
    self.events = events
    redrives = Int(try reader.read(UInt32.self))
    if try reader.readFlag() {
      lastRedrive = RedriveOutcome(
        endedAt: try reader.readTime(), succeeded: try reader.readFlag(), message: try reader.readText())
    }
    if !reader.isAtEnd { delivery = try FailureDelivery(reading: &reader) }
  }
}

extension ByteWriter {
  fileprivate mutating func write(_ window: FailedWindow) {
    write(window.bounds.start)
    write(window.bounds.end)
    write(window.isFinal)
    write(window.isTerminatedEarly)
    write(window.state)
  }
}

extension FailedWindow {
  /// In the byte of the condition: a window stands in the entry.
  fileprivate static let flag: UInt8 = 0x80

  fileprivate init(reading reader: inout ByteReader) throws(LMDBError) {
    let bounds = TimeWindow(start: try reader.readTime(), end: try reader.readTime())
    self.init(
      bounds: bounds, isFinal: try reader.readFlag(), isTerminatedEarly: try reader.readFlag(),
      state: try reader.readBytes())
  }
}

extension ByteWriter {
  fileprivate mutating func write(_ batch: AttemptedBatch) {
    write(batch.first)
    write(batch.last)
    write(UInt32(batch.count))
    write(batch.position.map { UInt32($0) } ?? AttemptedBatch.unknownPosition)
  }
}

extension AttemptedBatch {
  fileprivate init(reading reader: inout ByteReader) throws(LMDBError) {
    let (first, last) = (try reader.readIndex(), try reader.readIndex())
    let count = Int(try reader.read(UInt32.self))
    let position: UInt32 = try reader.read()
    self.init(
      first: first, last: last, count: count, position: position == Self.unknownPosition ? nil : Int(position))
  }
}

extension RecordEvent {
  /// In the byte of the condition: what was left out, and events, stand in the entry.
  fileprivate static let storyFlag: UInt8 = 0x40

  fileprivate init(reading reader: inout ByteReader) throws(LMDBError) {
    guard let kind = Kind(rawValue: try reader.read()) else { throw reader.damaged }
    let at = try reader.readTime()
    let actor = try reader.readText()
    self.init(kind, at: at, actor: actor.isEmpty ? nil : actor)
  }
}

extension AttemptRecord {
  fileprivate init(reading reader: inout ByteReader) throws(LMDBError) {
    let startedAt = try reader.readTime()
    let duration: Int64 = try reader.read()
    let byte: UInt8 = try reader.read()
    guard let kind = FailureKind(rawValue: byte & ~Flag.all) else { throw reader.damaged }
    let type = try reader.readText()
    let message = try reader.readText()
    var trace: [String] = []
    for _ in 0..<(try reader.readCount()) { trace.append(try reader.readText()) }
    self.init(
      startedAt: startedAt, durationMilliseconds: duration, kind: kind, type: type, message: message, trace: trace,
      requestID: try reader.readText(), rule: byte & Flag.rule == 0 ? nil : try reader.readText(),
      batch: byte & Flag.batch == 0 ? nil : try AttemptedBatch(reading: &reader),
      redriver: byte & Flag.redriver == 0 ? nil : try reader.readText())
  }
}

/// The records of a failure entry: stretches of consecutive records that share a first arrival, each a head and its
/// packed records.
struct FailurePayload: Sendable {
  private(set) var bytes: [UInt8]

  /// Copies the records `range` of `run`.
  init(run: RecordRun, range: Range<Int>) {
    var writer = ByteWriter()
    var position = range.lowerBound
    while position < range.upperBound {
      let base = Self.firstArrival(of: run, at: position)
      var end = position + 1
      while end < range.upperBound, Self.firstArrival(of: run, at: end) == base,
        run.index(at: end) == run.index(at: end - 1).advanced(by: 1)
      {
        end += 1
      }
      writer.write(run.index(at: position))
      writer.write(UInt32(end - position))
      writer.write(base)
      writer.write(unsafe Array(run.packedBytes(position..<end)))
      position = end
    }
    self.bytes = writer.bytes
  }

  /// What the arrival delta of the record at `position` counts from.
  private static func firstArrival(of run: RecordRun, at position: Int) -> WallTime {
    let delta = unsafe RecordHeader(at: run.address(at: position)).arrivalDelta
    return run.arrival(at: position).adding(milliseconds: -Int64(delta))
  }

  /// Reads the records back.
  static func records(
    decoding reader: ByteReader, firstIndex: RecordIndex, count: Int
  ) throws(LMDBError) -> RecordRun {
    var reader = reader
    var builder = RecordRunBuilder(firstIndex: firstIndex)
    while builder.count < count {
      let index = try reader.readIndex()
      let stretch = Int(try reader.read(UInt32.self))
      let arrival = try reader.readTime()
      let packed = try reader.readBytes()
      let isWhole = unsafe packed.withUnsafeBytes {
        unsafe builder.append(packed: $0, recordCount: stretch, firstArrival: arrival, at: index)
      }
      guard isWhole, stretch > 0 else { throw reader.damaged }
    }
    return builder.finish()
  }
}
