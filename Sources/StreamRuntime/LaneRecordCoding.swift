public import ShardCore
public import StreamModel
public import StreamStore

/// What the store keeps of a lane: its progress, and the failed attempts of the batch at its head in words.
public struct StoredLane: Hashable, Sendable {
  public var progress: LaneProgress
  public var history: AttemptHistory
  /// Which lanes work on the shard.
  public var sharing: LaneSharing

  public init(progress: LaneProgress, history: AttemptHistory, sharing: LaneSharing = .whole) {
    self.progress = progress
    self.history = history
    self.sharing = sharing
  }

  /// What the store is told of the lane. It forgets of former lanes what this one is beyond.
  public func update(of mapping: MappingNumber, _ shard: ShardAddress, slot: Int) -> LaneUpdate {
    var lane = self
    lane.sharing = sharing.beyond(progress.next)
    return LaneUpdate(
      key: LaneKey(mapping: mapping, address: shard, slot: UInt8(slot)),
      record: LaneRecord(next: progress.next, payload: lane.encoded()))
  }

  /// Version 3 is for a lane that shares its shard, and is version 2 with the sharing behind the version: the factor;
  /// how many former factors there are; for each of them the factor, and where its lanes had come to, by slot.
  ///
  /// Version 2: version, flags, next, lost to retention, lost to damage; then the counts of frozen batches, if any; then
  /// the tumbling window with its state, if one has begun; then,
  /// for a failing batch, its numbers, what a rule gave up of it, if any, and its attempts; without one, the attempts
  /// of the batches that its records were in, if there are any. Little-endian; strings and lists carry their count in front.
  public func encoded() -> [UInt8] {
    var writer = ByteWriter()
    if sharing.isWhole {
      writer.write(Self.version)
    } else {
      writer.write(Self.versionOfShares)
      writer.write(sharing)
    }
    var flags: UInt8 = 0
    if progress.isFinished { flags |= Flag.finished }
    if progress.isPaused { flags |= Flag.paused }
    if progress.failing != nil { flags |= Flag.failing }
    if !progress.pieces.isEmpty { flags |= Flag.pieces }
    if progress.failing?.givenUp != nil { flags |= Flag.givenUp }
    if progress.parksKeys { flags |= Flag.parksKeys }
    if progress.window != nil { flags |= Flag.window }
    let hasHistoryAlone = progress.failing == nil && !history.isEmpty
    if hasHistoryAlone { flags |= Flag.history }
    writer.write(flags)
    writer.write(progress.next.rawValue)
    writer.write(progress.lostToRetention)
    writer.write(progress.lostToDamage)
    if !progress.pieces.isEmpty {
      writer.write(UInt32(progress.pieces.count))
      for count in progress.pieces { writer.write(UInt32(count)) }
    }
    if let window = progress.window { writer.write(window) }
    if let failing = progress.failing {
      writer.write(failing.extent.first.rawValue)
      writer.write(failing.extent.last.rawValue)
      writer.write(UInt32(failing.extent.count))
      writer.write(failing.extent.firstArrival.milliseconds)
      writer.write(failing.extent.lastArrival.milliseconds)
      writer.write(UInt64(failing.extent.payloadBytes))
      writer.write(UInt32(failing.attempts))
      writer.write(UInt32(failing.systemFailures))
      writer.write(failing.lastFailure.rawValue)
      writer.write(failing.firstFailedAt.milliseconds)
      writer.write(failing.lastFailedAt.milliseconds)
      writer.write(failing.retryAt.milliseconds)
      if let givenUp = failing.givenUp { writer.write(givenUp.rawValue) }
      writer.write(history)
    }
    if hasHistoryAlone { writer.write(history) }
    return writer.bytes
  }

  public init(decoding bytes: [UInt8]) throws(LaneRecordError) {
    var reader = ByteReader(bytes)
    let version: UInt8 = try reader.read()
    guard version == Self.version || version == Self.versionOfShares else { throw .unknownVersion(version) }
    let sharing = version == Self.version ? .whole : try reader.readSharing()
    let flags: UInt8 = try reader.read()
    guard flags & (Flag.failing | Flag.givenUp) != Flag.givenUp,
      flags & (Flag.failing | Flag.history) != Flag.failing | Flag.history
    else { throw .malformed }
    var progress = LaneProgress(next: try reader.readIndex())
    progress.lostToRetention = try reader.read()
    progress.lostToDamage = try reader.read()
    progress.isFinished = flags & Flag.finished != 0
    progress.isPaused = flags & Flag.paused != 0
    progress.parksKeys = flags & Flag.parksKeys != 0
    if flags & Flag.pieces != 0 { progress.pieces = try reader.readPieces() }
    if flags & Flag.window != 0 { progress.window = try reader.readWindow() }
    var history = AttemptHistory()
    if flags & Flag.failing != 0 {
      let first = try reader.readIndex()
      let last = try reader.readIndex()
      let count: UInt32 = try reader.read()
      let firstArrival = WallTime(milliseconds: try reader.read())
      let lastArrival = WallTime(milliseconds: try reader.read())
      let payloadBytes: UInt64 = try reader.read()
      let attempts: UInt32 = try reader.read()
      let systemFailures: UInt32 = try reader.read()
      let kind: UInt8 = try reader.read()
      // Without records it is the final delivery of the window.
      let isFinal = count == 0 && progress.window != nil && last.rawValue &+ 1 == first.rawValue
      guard let lastFailure = FailureKind(rawValue: kind), isFinal || count > 0 && last >= first else {
        throw .malformed
      }
      progress.failing = FailingBatch(
        extent: BatchExtent(
          first: first, last: last, count: Int(count), firstArrival: firstArrival, lastArrival: lastArrival,
          payloadBytes: Int(clamping: payloadBytes)),
        attempts: Int(attempts), systemFailures: Int(systemFailures), lastFailure: lastFailure,
        firstFailedAt: WallTime(milliseconds: try reader.read()),
        lastFailedAt: WallTime(milliseconds: try reader.read()),
        retryAt: WallTime(milliseconds: try reader.read()))
      if flags & Flag.givenUp != 0 {
        guard let givenUp = FailingBatch.GivenUp(rawValue: try reader.read()) else { throw .malformed }
        progress.failing?.givenUp = givenUp
      }
      history = try reader.readHistory()
    }
    if flags & Flag.history != 0 { history = try reader.readHistory() }
    guard reader.isAtEnd else { throw .malformed }
    self.init(progress: progress, history: history, sharing: sharing)
  }

  private static let version: UInt8 = 2
  private static let versionOfShares: UInt8 = 3

  private enum Flag {
    static let finished: UInt8 = 1
    static let paused: UInt8 = 2
    static let failing: UInt8 = 4
    static let pieces: UInt8 = 8
    static let givenUp: UInt8 = 16
    /// Keys are parked, in a table of their own: a version that does not know of it must not go on from the checkpoint.
    static let parksKeys: UInt8 = 32
    static let window: UInt8 = 64
    /// No batch fails, but records at the head were in one that has: halves of it, or its rest.
    static let history: UInt8 = 128
  }
}

/// Why a stored lane could not be read.
public enum LaneRecordError: Error, Hashable, Sendable {
  /// Written by a newer Sluice.
  case unknownVersion(UInt8)
  /// Not what any Sluice writes.
  case malformed
}

struct ByteWriter {
  private(set) var bytes: [UInt8] = []

  mutating func write(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  mutating func write(_ blob: [UInt8]) {
    write(UInt32(blob.count))
    bytes.append(contentsOf: blob)
  }

  mutating func write(_ text: String) {
    write(UInt32(text.utf8.count))
    bytes.append(contentsOf: text.utf8)
  }

  mutating func write(_ sharing: LaneSharing) {
    write(UInt8(sharing.factor))
    write(UInt8(sharing.formerLanes.count))
    for former in sharing.formerLanes {
      write(UInt8(former.ends.count))
      for end in former.ends { write(end.rawValue) }
    }
  }

  mutating func write(_ history: AttemptHistory) {
    write(UInt32(history.omitted))
    write(UInt32(history.attempts.count))
    for attempt in history.attempts {
      write(attempt.startedAt.milliseconds)
      write(attempt.durationMilliseconds)
      write(attempt.flaggedKind)
      write(attempt.type)
      write(attempt.message)
      write(UInt32(attempt.trace.count))
      for line in attempt.trace { write(line) }
      write(attempt.requestID)
      if let rule = attempt.rule { write(rule) }
      if let batch = attempt.batch {
        write(batch.first.rawValue)
        write(batch.last.rawValue)
        write(UInt32(batch.count))
        write(batch.position.map { UInt32($0) } ?? AttemptedBatch.unknownPosition)
      }
      if let redriver = attempt.redriver { write(redriver) }
    }
  }
}

struct ByteReader {
  private let bytes: [UInt8]
  private var offset = 0

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  var isAtEnd: Bool { offset == bytes.count }

  mutating func read<Value: FixedWidthInteger>() throws(LaneRecordError) -> Value {
    let size = MemoryLayout<Value>.size
    guard bytes.count - offset >= size else { throw .malformed }
    let value = bytes.withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Value.self)) }
    offset += size
    return value
  }

  /// Within 63 bits, so that counting on from it cannot overflow.
  mutating func readIndex() throws(LaneRecordError) -> RecordIndex {
    let value: UInt64 = try read()
    guard value <= SequenceNumber.greatestIndex else { throw .malformed }
    return RecordIndex(value)
  }

  mutating func readSharing() throws(LaneRecordError) -> LaneSharing {
    func factor(_ reader: inout ByteReader) throws(LaneRecordError) -> Int {
      let factor: UInt8 = try reader.read()
      guard LaneSharing.factors.contains(Int(factor)) else { throw .malformed }
      return Int(factor)
    }
    let ownFactor = try factor(&self)
    let count: UInt8 = try read()
    var former: [LaneSharing.FormerLanes] = []
    for _ in 0..<count {
      var ends: [RecordIndex] = []
      for _ in 0..<(try factor(&self)) { ends.append(try readIndex()) }
      guard !former.contains(where: { $0.ends.count == ends.count }) else { throw .malformed }
      former.append(LaneSharing.FormerLanes(ends: ends))
    }
    return LaneSharing(factor: ownFactor, formerLanes: former)
  }

  mutating func readPieces() throws(LaneRecordError) -> [Int] {
    let count: UInt32 = try read()
    var pieces: [Int] = []
    for _ in 0..<count {
      let piece: UInt32 = try read()
      guard piece > 0 else { throw .malformed }
      pieces.append(Int(piece))
    }
    return pieces
  }

  mutating func readBytes() throws(LaneRecordError) -> [UInt8] {
    let count: UInt32 = try read()
    guard bytes.count - offset >= Int(count) else { throw .malformed }
    defer { offset += Int(count) }
    return Array(bytes[offset..<(offset + Int(count))])
  }

  mutating func readString() throws(LaneRecordError) -> String {
    let count: UInt32 = try read()
    guard bytes.count - offset >= Int(count) else { throw .malformed }
    defer { offset += Int(count) }
    return String(decoding: bytes[offset..<(offset + Int(count))], as: UTF8.self)
  }

  private mutating func readAttemptedBatch() throws(LaneRecordError) -> AttemptedBatch {
    let first = RecordIndex(try read())
    let last = RecordIndex(try read())
    let count: UInt32 = try read()
    let position: UInt32 = try read()
    return AttemptedBatch(
      first: first, last: last, count: Int(count),
      position: position == AttemptedBatch.unknownPosition ? nil : Int(position))
  }

  mutating func readHistory() throws(LaneRecordError) -> AttemptHistory {
    let omitted: UInt32 = try read()
    let count: UInt32 = try read()
    var attempts: [AttemptRecord] = []
    for _ in 0..<count {
      let startedAt: Int64 = try read()
      let duration: Int64 = try read()
      let kind: UInt8 = try read()
      guard let failureKind = FailureKind(rawValue: kind & ~AttemptRecord.Flag.all) else { throw .malformed }
      let type = try readString()
      let message = try readString()
      let lineCount: UInt32 = try read()
      var trace: [String] = []
      for _ in 0..<lineCount { trace.append(try readString()) }
      attempts.append(
        AttemptRecord(
          startedAt: WallTime(milliseconds: startedAt), durationMilliseconds: duration, kind: failureKind, type: type,
          message: message,
          trace: trace, requestID: try readString(),
          rule: kind & AttemptRecord.Flag.rule == 0 ? nil : try readString(),
          batch: kind & AttemptRecord.Flag.batch == 0 ? nil : try readAttemptedBatch(),
          redriver: kind & AttemptRecord.Flag.redriver == 0 ? nil : try readString()))
    }
    return AttemptHistory(attempts: attempts, omitted: Int(omitted))
  }
}
