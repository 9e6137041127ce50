internal import CXXHash
public import StreamModel
internal import TableChanges

/// What stands in a line of a recording.
public enum RecordingLine: Hashable, Sendable {
  /// ``RecordingReader/shard`` and its neighbours say which; ``RecordingReader/appendRecord(to:)`` takes it.
  case record
  case shardOpened(RecordedShard)
  case shardClosed(RecordedClosing)
  /// Records that were there and could not be recorded.
  case missing(RecordRange, ShardNumber)
  /// What became of records in the mapping that the header names.
  case outcome(RecordedOutcome)
  case checkpoint(RecordedCheckpoint)
}

/// Why a recording cannot be read on.
public enum RecordingError: Error, Hashable, Sendable, CustomStringConvertible {
  case problem(RecordingProblem)
  case file(RecordingFileError)

  public var description: String {
    switch self {
    case .problem(let problem): "\(problem)"
    case .file(let error): "\(error)"
    }
  }
}

/// How a recording ended.
public enum RecordingEnding: Hashable, Sendable {
  /// With its last line, and everything was there.
  case complete
  /// Without: it was interrupted, or cut. Whoever goes on from here has everything up to this place.
  case interrupted(RecordingProblem)
}

/// Reads a recording line by line: checks each, and that records are those that follow. Nothing is allocated for a
/// record that ``RecordingWriter`` wrote.
@safe
public struct RecordingReader: ~Copyable {
  public let header: RecordingHeader
  /// Behind the last line: how it ended. `nil` before.
  public private(set) var ending: RecordingEnding?
  /// Lines that were left out, and records that are missing behind others.
  public private(set) var skipped: [RecordingProblem] = []
  /// Records so far.
  public private(set) var recordCount: UInt64 = 0

  private var source: LineSource
  private let badLineLimit: Int
  private var leftOut = LeftOutLines()
  private var lineCount: UInt64 = 0
  private var digest: UInt64 = 0
  /// Every line has its check, or none has.
  private let hasChecks: Bool
  /// There are checks, and no line was left out.
  private var digestCounts = true
  /// Sequence numbers may be other ones than shard and index make.
  private let hasOwnNumbers: Bool
  private var line = RecordLine()
  private var lineStart = 0
  /// Where the line that is read stands in the file.
  private var lineByte: UInt64 = 0
  /// In the order in which they were opened.
  private var shards: [Shard] = []
  private var places: [ShardNumber: Int] = [:]
  /// The place of the last record's shard: most have the same as the one before.
  private var latest = 0
  /// What takes the records of each shard in ``appendRecords(to:byteLimit:before:counting:)``, in the order of the shards.
  private var takers: [PackedRecords?] = []
  /// Nobody else has what it reads from: another thread can go on with it.
  let ownsInput: Bool

  private struct Shard {
    let shard: RecordedShard
    var next: RecordIndex
    /// The line of the last record.
    var lastLine: UInt64 = 0
    var lastArrival: WallTime
    var isClosed = false
  }

  private enum Step {
    case record
    /// Another line, which it holds.
    case line(RecordingLine)
    case end
  }

  /// Reads the first line. `read` fills the front of the memory that it is given and says how much of it; 0 at the end.
  /// Up to `badLineLimit` damages are left out: lines that cannot be used, and gaps in a shard that such lines do not explain.
  public init(
    badLineLimit: Int = 0, _ read: @escaping (UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int
  ) throws(RecordingError) {
    try self.init(unsafe LineSource(read), badLineLimit, ownsInput: false)
  }

  /// Reads the first line of a file, which nobody else reads from now on. A ``RecordingFeed`` reads ahead then.
  public init(badLineLimit: Int = 0, owning input: sending RecordingInput) throws(RecordingError) {
    let input = input
    try self.init(
      unsafe LineSource { memory throws(RecordingFileError) in unsafe try input.read(into: memory) }, badLineLimit,
      ownsInput: true)
  }

  private init(_ lines: consuming LineSource, _ badLineLimit: Int, ownsInput: Bool) throws(RecordingError) {
    var source = lines
    let found: LineSource.Line?
    do throws(RecordingFileError) { found = try source.next() } catch { throw .file(error) }
    guard let found else {
      throw .problem(RecordingProblem(byte: 0, line: 1, record: 1, reason: "the file is empty"))
    }
    do throws(LineFault) {
      let bytes = unsafe UnsafeRawBufferPointer(start: source.memory + found.start, count: found.count)
      let check = unsafe try Self.check(of: bytes)
      header = try RecordingHeader(LineMembers(unsafe RawSpan(_unsafeBytes: bytes)))
      digest = UInt64(check ?? 0)
      hasChecks = check != nil
      hasOwnNumbers = header.imported != nil
      digestCounts = hasChecks
    } catch {
      throw .problem(
        RecordingProblem(
          byte: found.byte + UInt64(error.offset), line: 1, record: 1,
          reason: "this is not a recording: \(error.reason)"))
    }
    self.source = source
    self.ownsInput = ownsInput
    self.badLineLimit = badLineLimit
    lineCount = 1
  }

  /// The file is read by a thread of its own from here on. Only if this ``ownsInput``.
  mutating func readAhead() { source.readAhead() }

  // MARK: The record

  /// The shard of the record that was read last.
  public var shard: ShardNumber { line.shard }
  public var index: RecordIndex { line.index }
  public var arrival: WallTime { line.arrival }
  /// The sequence number that the record was imported with; `nil` if it is the one that shard and index make.
  public private(set) var importedSequenceNumber: String?

  /// What handlers know the record by that was read last: the number that it was imported with, that of a table's change, or
  /// the one that shard and index make.
  public var sequenceNumber: String {
    if let importedSequenceNumber { return importedSequenceNumber }
    let own = shards[latest].shard.sequenceNumber(of: line.index)
    guard header.kind == .dynamodb else { return own.description }
    let data = unsafe UnsafeRawBufferPointer(
      start: source.memory + lineStart + line.data.lowerBound, count: line.data.count)
    guard line.isBase64 else { return ChangeSequenceNumber.text(of: unsafe RawSpan(_unsafeBytes: data), own) }
    let decoded = unsafe Base64Reading.bytes(of: Array(data)) ?? []
    return ChangeSequenceNumber.text(of: unsafe decoded.span.bytes, own)
  }

  /// The partition key of the record that was read last; invalid UTF-8 is shown as `�`.
  public var partitionKey: String {
    guard line.decodedKey.isEmpty else { return String(decoding: line.decodedKey, as: UTF8.self) }
    let key = unsafe UnsafeRawBufferPointer(
      start: source.memory + lineStart + line.key.lowerBound, count: line.key.count)
    return unsafe String(decoding: key, as: UTF8.self)
  }

  /// Appends the record that was read last, which ``PackedRecords/takes(_:arrival:)``.
  public func appendRecord(to records: PackedRecords) { append(to: &records.content) }

  @inline(__always)
  private func append(to records: inout PackedContent) {
    let start = unsafe source.memory + lineStart
    let data = unsafe UnsafeRawBufferPointer(start: start + line.data.lowerBound, count: line.data.count)
    let count = unsafe line.isBase64 ? Base64Reading.byteCount(of: data) ?? 0 : data.count
    let target: UnsafeMutableRawPointer
    if line.decodedKey.isEmpty {
      let key = unsafe UnsafeRawBufferPointer(start: start + line.key.lowerBound, count: line.key.count)
      unsafe target = records.append(
        arrival: line.arrival, key: key, hashKey: line.hashKey, lineage: line.lineage, dataByteCount: count)
    } else {
      unsafe target = line.decodedKey.withUnsafeBytes {
        unsafe records.append(
          arrival: line.arrival, key: $0, hashKey: line.hashKey, lineage: line.lineage, dataByteCount: count)
      }
    }
    if line.isBase64 {
      _ = unsafe Base64Reading.decode(data, to: target)
    } else if let source = data.baseAddress {
      unsafe target.copyMemory(from: source, byteCount: count)
    }
  }

  /// What ``appendRecords(to:byteLimit:before:counting:)`` did.
  public struct Appended {
    public fileprivate(set) var recordCount = 0
    /// Packed bytes.
    public fileprivate(set) var byteCount = 0

    public init() {}
  }

  /// Appends the record that was read last, which the records take, and then those that follow, each to what this was
  /// called with last for a record of its shard: as long as that takes them, they arrived before `end`, and those that
  /// `appended` counts have fewer than so many bytes. Gives the line behind them, which may be a record that nothing
  /// takes yet; `nil` behind the last line, and where they have so many bytes.
  ///
  /// The same as ``next()`` and ``appendRecord(to:)`` in turns, for recordings without numbers of their own, and faster.
  public mutating func appendRecords(
    to records: PackedRecords, byteLimit: Int = .max, before end: WallTime = .distantFuture,
    counting appended: inout Appended
  ) throws(RecordingError) -> RecordingLine? {
    while takers.count < shards.count { takers.append(nil) }
    takers[latest] = records
    append(to: &records.content, counting: &appended)
    while appended.byteCount < byteLimit {
      switch try step() {
      case .record:
        guard line.arrival < end, latest < takers.count,
          takers[latest]?.appendNext(of: line.shard, from: self, counting: &appended) ?? false
        else { return .record }
      case .line(let line): return line
      case .end: return nil
      }
    }
    return nil
  }

  /// Nothing takes records any more until ``appendRecords(to:byteLimit:before:counting:)`` is called with it again.
  public mutating func forgetTakers() { takers.removeAll(keepingCapacity: true) }

  @inline(__always)
  fileprivate func append(to records: inout PackedContent, counting appended: inout Appended) {
    let former = records.used
    append(to: &records)
    appended.byteCount += records.used - former
    appended.recordCount += 1
  }

  /// The bytes of the file so far.
  public var byteCount: UInt64 { source.position }

  // MARK: Lines

  /// The next line; `nil` behind the last, of which ``ending`` tells.
  public mutating func next() throws(RecordingError) -> RecordingLine? {
    switch try step() {
    case .record: .record
    case .line(let line): line
    case .end: nil
    }
  }

  @inline(__always)
  private mutating func step() throws(RecordingError) -> Step {
    while ending == nil {
      let found: LineSource.Line?
      do throws(RecordingFileError) { found = try source.next() } catch { throw .file(error) }
      guard let found else {
        ending = .interrupted(problem("the recording has no end: it was interrupted, or cut", source.position))
        return .end
      }
      lineCount += 1
      do throws(LineFault) {
        return try read(found)
      } catch {
        let problem = problem(error.reason, found.byte + UInt64(error.offset))
        guard found.isWhole || found.count >= LineSource.lineByteLimit else {
          ending = .interrupted(
            self.problem(
              "the recording ends within this line: it was interrupted, or cut (\(error.reason))", found.byte))
          return .end
        }
        guard leftOut.damageCount < badLineLimit else { throw .problem(problem) }
        leftOut.add(line: lineCount, byteCount: found.count, isRepeated: error.isRepeated)
        skipped.append(problem)
        digestCounts = false
      }
    }
    return .end
  }

  private func problem(_ reason: String, _ byte: UInt64) -> RecordingProblem {
    RecordingProblem(byte: byte, line: lineCount, record: recordCount + 1, reason: reason)
  }

  private mutating func read(_ found: LineSource.Line) throws(LineFault) -> Step {
    guard found.count < LineSource.lineByteLimit else {
      throw LineFault("the line is longer than \(LineSource.lineByteLimit >> 20) MiB")
    }
    lineByte = found.byte
    let bytes = unsafe UnsafeRawBufferPointer(start: source.memory + found.start, count: found.count)
    let check = unsafe try Self.check(of: bytes)
    guard hasChecks == (check != nil) else {
      throw LineFault(
        "the line has \(check == nil ? "no check, and the header has one" : "a check, and the header has none")")
    }
    if check != nil, unsafe line.read(bytes, hasOwnNumber: hasOwnNumbers) {
      lineStart = found.start
      unsafe try takeRecord(bytes)
      digest = digest &* LineCheck.factor &+ UInt64(check ?? 0)
      return .record
    }
    let members = try LineMembers(unsafe RawSpan(_unsafeBytes: bytes))
    let result: RecordingLine
    switch members.first {
    case Array("shard".utf8):
      try line.read(members)
      lineStart = found.start
      unsafe try takeRecord(bytes)
      result = .record
    case Array("shardOpened".utf8): result = .shardOpened(try open(members))
    case Array("shardClosed".utf8): result = .shardClosed(try close(members))
    case Array("missing".utf8): result = try miss(members)
    case Array("outcome".utf8):
      try expectOutcomes("outcome")
      let span = unsafe RawSpan(_unsafeBytes: bytes)
      let outcome = try RecordedOutcome(JSONNode(span), in: span)
      _ = try known(outcome.shard)
      result = .outcome(outcome)
    case Array("checkpoint".utf8):
      try expectOutcomes("checkpoint")
      let checkpoint = RecordedCheckpoint(
        next: try members.index("checkpoint"), shard: try members.shard("shard"),
        lane: Int(try members.number("lane", in: 0...Int64(UInt8.max))))
      _ = try known(checkpoint.shard)
      result = .checkpoint(checkpoint)
    case Array("records".utf8):
      try end(members)
      return .end
    case Array("recording".utf8): throw LineFault("another recording begins here: one file holds one recording")
    default:
      throw LineFault(
        "the line is none of a recording: its first member is \(JSONLine.quoted(String(decoding: members.first, as: UTF8.self)))"
      )
    }
    digest = digest &* LineCheck.factor &+ UInt64(check ?? 0)
    return result == .record ? .record : .line(result)
  }

  /// The check of a line, which is right; `nil` if it has none.
  private static func check(of bytes: UnsafeRawBufferPointer) throws(LineFault) -> UInt32? {
    let end = bytes.count - LineCheck.suffixByteCount
    guard end > 0, unsafe LineCheck.isSuffix(bytes.baseAddress.unsafelyUnwrapped + end) else { return nil }
    let place = end + LineCheck.prefixByteCount
    let own = unsafe UInt32(truncatingIfNeeded: sluice_xxh3(bytes.baseAddress.unsafelyUnwrapped, end, 0))
    if unsafe LineCheck.has(own, at: bytes.baseAddress.unsafelyUnwrapped + place) { return own }
    guard let check = unsafe LineCheck.digits(at: bytes.baseAddress.unsafelyUnwrapped + place) else {
      throw LineFault("the check of the line is not eight hexadecimal digits", at: place)
    }
    throw LineFault(
      "the line was changed since it was written: its check is \(LineCheck.text(check)), and its bytes give "
        + LineCheck.text(own))
  }

  // MARK: What lines say

  @inline(__always)
  private mutating func takeRecord(_ bytes: UnsafeRawBufferPointer) throws(LineFault) {
    if latest >= shards.count || shards[latest].shard.shard != line.shard {
      latest = try place(of: line.shard, "\(line.shard) was not opened before its record")
    }
    guard !shards[latest].isClosed else { throw LineFault("\(line.shard) was closed before its record") }
    let next = shards[latest].next
    guard line.index != next else { return unsafe try accept(bytes) }
    guard line.index > next else {
      throw LineFault(
        "record \(line.index.rawValue) of \(line.shard) is out of order: \(next.rawValue) or a later one follows",
        isRepeated: true)
    }
    try passGap(of: latest, to: line.index)
    unsafe try accept(bytes)
  }

  /// What follows a gap is taken as it is: if it may be left out, the lines behind it are those that follow. Where lines were
  /// left out that can have held the missing records, that damage was counted with them.
  private mutating func passGap(of place: Int, to index: RecordIndex) throws(LineFault) {
    let (shard, next) = (shards[place].shard.shard, shards[place].next)
    let reason =
      "records \(next.rawValue) to \(index.rawValue - 1) of \(shard) are missing before record \(index.rawValue)"
    guard leftOut.pass(next.distance(to: index), behind: shards[place].lastLine, limit: badLineLimit) else {
      throw LineFault(reason)
    }
    skipped.append(problem(reason, lineByte))
    digestCounts = false
    shards[place].next = index
  }

  /// Where the shard stands in the list.
  private func place(of number: ShardNumber, _ reason: @autoclosure () -> String) throws(LineFault) -> Int {
    guard let place = places[number] else { throw LineFault(reason()) }
    return place
  }

  @inline(__always)
  private mutating func accept(_ bytes: UnsafeRawBufferPointer) throws(LineFault) {
    guard line.arrival >= shards[latest].lastArrival else {
      throw LineFault(
        "arrival is \(line.arrival.milliseconds): it steps back behind \(shards[latest].lastArrival.milliseconds) of the record "
          + "before it in \(line.shard)")
    }
    if !line.sequenceNumber.isEmpty {
      let own = shards[latest].shard.sequenceNumber(of: line.index)
      let isOwn = unsafe withUnsafeTemporaryAllocation(byteCount: SequenceNumber.digitCount, alignment: 1) { digits in
        unsafe own.write(to: digits)
        return unsafe line.sequenceNumber.elementsEqual(digits)
      }
      guard isOwn || hasOwnNumbers else {
        throw LineFault("sequenceNumber is not that of record \(line.index.rawValue) of \(line.shard), which is \(own)")
      }
      guard line.sequenceNumber.count <= RecordLine.sequenceNumberByteLimit else {
        throw LineFault(
          "sequenceNumber has \(line.sequenceNumber.count) bytes: allowed are up to \(RecordLine.sequenceNumberByteLimit)"
        )
      }
      importedSequenceNumber = isOwn ? nil : String(decoding: line.sequenceNumber, as: UTF8.self)
    } else if hasOwnNumbers {
      importedSequenceNumber = nil
    }
    let payload = unsafe UnsafeRawBufferPointer(rebasing: bytes[line.data])
    if line.isBase64 {
      let isRight = unsafe Base64Reading.accepts(payload)
      guard isRight else { throw LineFault("base64 is not base64", at: line.data.lowerBound) }
    }
    if header.kind == .dynamodb { unsafe try checkChange(payload) }
    shards[latest].next = line.index.advanced(by: 1)
    shards[latest].lastArrival = line.arrival
    shards[latest].lastLine = lineCount
    recordCount += 1
  }

  /// Whoever writes events of changes relies on it.
  private func checkChange(_ payload: UnsafeRawBufferPointer) throws(LineFault) {
    do throws(ChangeProblem) {
      if line.isBase64 {
        let data = unsafe Base64Reading.bytes(of: Array(payload)) ?? []
        unsafe try ChangeRecord.check(data.span.bytes)
      } else {
        try ChangeRecord.check(unsafe RawSpan(_unsafeBytes: payload))
      }
    } catch {
      throw LineFault("the payload is no change of a table: \(error)", at: line.data.lowerBound)
    }
  }

  private mutating func open(_ members: LineMembers) throws(LineFault) -> RecordedShard {
    let number = try members.shard("shardOpened")
    guard places[number] == nil else { throw LineFault("\(number) is opened twice") }
    let keys = try members.list("hashKeys").map { HashKey(decimal: $0) }
    guard keys.count == 2, let first = keys[0], let last = keys[1], first <= last else {
      throw LineFault("hashKeys must be the first and the last hash key of the shard, as texts")
    }
    var parents: [ShardNumber] = []
    for text in try members.list("parents") {
      guard let parent = ShardNumber(text), places[parent] != nil else {
        throw LineFault("parents of \(number) holds \(text), which is no shard that was opened before")
      }
      parents.append(parent)
    }
    guard parents.count <= 2 else { throw LineFault("\(number) has \(parents.count) parents: allowed are up to 2") }
    let shard = RecordedShard(
      shard: number, createdAt: try members.moment("at"),
      createdAtSeconds: UInt64(try members.number("createdAtSeconds", in: 0...(1 << 36 - 1))),
      hashKeys: HashKeyRange(first: first, last: last), parents: parents, first: try members.index("first"))
    places[number] = shards.count
    shards.append(Shard(shard: shard, next: shard.first, lastArrival: WallTime(milliseconds: .min)))
    return shard
  }

  private func known(_ number: ShardNumber) throws(LineFault) -> Int {
    try place(of: number, "\(number) was not opened")
  }

  private mutating func close(_ members: LineMembers) throws(LineFault) -> RecordedClosing {
    let closing = RecordedClosing(
      shard: try members.shard("shardClosed"), closedAt: try members.moment("at"), end: try members.index("end"))
    let place = try known(closing.shard)
    guard !shards[place].isClosed else { throw LineFault("\(closing.shard) is closed twice") }
    guard closing.end >= shards[place].next else {
      throw LineFault("end of \(closing.shard) is \(closing.end.rawValue), and a record stands behind it")
    }
    shards[place].isClosed = true
    return closing
  }

  private func expectOutcomes(_ name: String) throws(LineFault) {
    guard header.outcomes != nil else {
      throw LineFault(
        "the line is of format 2, which has a line with \(name), and the header says that the recording is of format 1")
    }
  }

  private mutating func miss(_ members: LineMembers) throws(LineFault) -> RecordingLine {
    let number = try members.shard("missing")
    let place = try known(number)
    let first = try members.index("first")
    if first > shards[place].next { try passGap(of: place, to: first) }
    let next = shards[place].next
    let count = UInt64(try members.number("count", in: 1...(.max)))
    guard first == next, count <= SequenceNumber.greatestIndex - first.rawValue else {
      throw LineFault("the missing records of \(number) are not those that follow: \(next.rawValue) does")
    }
    let range = RecordRange(first: first, count: count)
    shards[place].next = range.end
    shards[place].lastLine = lineCount
    return .missing(range, number)
  }

  private mutating func end(_ members: LineMembers) throws(LineFault) {
    if digestCounts {
      let count = try members.number("records", in: 0...(.max))
      guard UInt64(count) == recordCount else {
        throw LineFault("the recording says that it holds \(count) records, and there are \(recordCount)")
      }
      if let text = try members.text(ifThere: "digest"), text != Array(digest.sixteenDigits.utf8) {
        throw LineFault("lines are missing, doubled or exchanged: the digest of the recording is another one")
      }
    }
    let trailing: LineSource.Line?
    do throws(RecordingFileError) { trailing = try source.next() } catch { throw LineFault("\(error)") }
    guard trailing == nil else { throw LineFault("something follows the end of the recording") }
    ending = .complete
  }
}

extension PackedRecords {
  /// Takes the record that was read last, if it belongs here.
  @inline(__always)
  fileprivate func appendNext(
    of shard: ShardNumber, from reader: borrowing RecordingReader, counting appended: inout RecordingReader.Appended
  ) -> Bool {
    // It may have been used again meanwhile, for another shard.
    guard content.shard == shard, content.takes(reader.index, arrival: reader.arrival) else { return false }
    reader.append(to: &content, counting: &appended)
    return true
  }
}

extension RecordingHeader {
  fileprivate init(_ members: LineMembers) throws(LineFault) {
    guard members.first == Array("recording".utf8) else { throw LineFault("its first line is no header") }
    let version = try members.number("recording", in: 1...(.max))
    guard Self.versions.contains(version) else {
      throw LineFault(
        "it is of format \(version), and this program reads formats \(Self.versions.lowerBound) to "
          + "\(Self.versions.upperBound): use a newer one")
    }
    let name = try members.string("kind")
    guard let kind = StreamKind(rawValue: name) else {
      throw LineFault("kind is \(name): allowed are kinesis and dynamodb")
    }
    self.init(
      stream: try members.string("stream"), kind: kind, streamCreatedAt: try members.moment("streamCreatedAt"),
      madeAt: try members.moment("madeAt"))
    from = try members.number(ifThere: "from").map { WallTime(milliseconds: $0) }
    to = try members.number(ifThere: "to").map { WallTime(milliseconds: $0) }
    redacted = try members.list("redacted")
    if let text = try members.text(ifThere: "keys").map({ String(decoding: $0, as: UTF8.self) }) {
      guard let keys = RecordedKeys(rawValue: text) else {
        throw LineFault("keys is \(text): allowed are plain and pseudonyms")
      }
      self.keys = keys
    }
    imported = try members.text(ifThere: "imported").map { String(decoding: $0, as: UTF8.self) }
    if version > 1 { outcomes = Outcomes(of: try members.string("mapping"), at: try members.moment("outcomesAt")) }
  }
}
