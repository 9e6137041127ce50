internal import CXXHash
internal import EventPattern
public import StreamModel

/// Writes the lines of a recording into memory, which whoever calls it takes away from time to time.
///
/// Nothing is allocated for a record once the memory has grown.
@safe
public struct RecordingWriter: ~Copyable {
  private var bytes: UnsafeMutableRawBufferPointer
  private var count = 0
  private var digest: UInt64 = 0
  private var shards: [ShardNumber: ShardText] = [:]
  private var last: ShardText?
  private var redaction: Redaction?
  private var payload: [UInt8] = []
  private var hasOutcomes = false
  /// Records so far.
  public private(set) var recordCount: UInt64 = 0
  /// The bytes of data of these.
  public private(set) var dataByteCount: UInt64 = 0
  /// Payloads that were redacted as a whole because they are not JSON.
  public private(set) var redactedWhole: UInt64 = 0

  private struct ShardText {
    var shard: ShardNumber
    /// `{"shard":3,"index":`
    var prefix: [UInt8]
    var createdAtSeconds: UInt64
  }

  public init(_ header: RecordingHeader) {
    unsafe bytes = .allocate(byteCount: 1 << 20, alignment: 16)
    if !header.redacted.isEmpty { redaction = Redaction(header.redacted, kind: header.kind) }
    var text = #"{"recording":\#(header.version),"stream":\#(JSONLine.quoted(header.stream))"#
    text += #","kind":"\#(header.kind.rawValue)","streamCreatedAt":\#(header.streamCreatedAt.milliseconds)"#
    text += #","madeAt":\#(header.madeAt.milliseconds)"#
    if let from = header.from { text += #","from":\#(from.milliseconds)"# }
    if let to = header.to { text += #","to":\#(to.milliseconds)"# }
    if !header.redacted.isEmpty {
      text += #","redacted":[\#(header.redacted.map(JSONLine.quoted).joined(separator: ","))]"#
    }
    if let imported = header.imported { text += #","imported":\#(JSONLine.quoted(imported))"# }
    if let outcomes = header.outcomes {
      hasOutcomes = true
      text += #","mapping":\#(JSONLine.quoted(outcomes.mapping)),"outcomesAt":\#(outcomes.at.milliseconds)"#
    }
    append(line: text)
  }

  deinit { unsafe bytes.deallocate() }

  /// The bytes that wait to be taken.
  public var byteCount: Int { count }

  /// Hands over what was written since the last time, and forgets it unless `body` throws.
  public mutating func take<Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    try unsafe body(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
    count = 0
  }

  public mutating func shardOpened(_ shard: RecordedShard) {
    shards[shard.shard] = ShardText(
      shard: shard.shard, prefix: Array(#"{"shard":\#(shard.shard.rawValue),"index":"#.utf8),
      createdAtSeconds: shard.createdAtSeconds)
    last = nil
    let parents = shard.parents.map { "\($0.rawValue)" }.joined(separator: ",")
    append(
      line: #"{"shardOpened":\#(shard.shard.rawValue),"at":\#(shard.createdAt.milliseconds)"#
        + #","createdAtSeconds":\#(shard.createdAtSeconds),"hashKeys":["\#(shard.hashKeys.first)","\#(shard.hashKeys.last)"]"#
        + #","parents":[\#(parents)],"first":\#(shard.first.rawValue)"#)
  }

  public mutating func shardClosed(_ closing: RecordedClosing) {
    append(
      line: #"{"shardClosed":\#(closing.shard.rawValue),"at":\#(closing.closedAt.milliseconds)"#
        + #","end":\#(closing.end.rawValue)"#)
  }

  /// Records that were there and could not be had.
  public mutating func missing(_ range: RecordRange, of shard: ShardNumber) {
    append(line: #"{"missing":\#(shard.rawValue),"first":\#(range.first.rawValue),"count":\#(range.count)"#)
  }

  /// What became of records, in a recording whose header says that it holds it.
  public mutating func outcome(_ outcome: RecordedOutcome) {
    precondition(hasOutcomes, "the header says whose outcomes they are")
    append(line: outcome.line(isRedacted: redaction != nil))
  }

  /// Where a lane stood.
  public mutating func checkpoint(_ checkpoint: RecordedCheckpoint) {
    precondition(hasOutcomes, "the header says whose checkpoints they are")
    append(line: checkpoint.line)
  }

  /// The last line.
  public mutating func end() {
    append(
      line: #"{"records":\#(recordCount),"shards":\#(shards.count),"digest":"\#(digest.sixteenDigits)""#)
  }

  /// A record of a shard that was opened: the one at `position` of `run`, which arrived at `arrival`.
  public mutating func record(at position: Int, of run: RecordRun, arrival: WallTime, shard: ShardNumber) {
    let text = self.text(of: shard)
    let address = unsafe run.address(at: position)
    let header = unsafe RecordHeader(at: address)
    let index = run.index(at: position)
    let key = unsafe UnsafeRawBufferPointer(start: address + header.keyOffset, count: header.keyByteCount)
    var data = unsafe UnsafeRawBufferPointer(start: address + header.dataOffset, count: header.dataByteCount)
    recordCount += 1
    dataByteCount += UInt64(data.count)
    if redaction != nil {
      redact(unsafe RawSpan(_unsafeBytes: data))
      // Empty data has no address, and neither has an empty array.
      unsafe payload.withUnsafeBytes { redacted in
        unsafe data = redacted
        unsafe line(text, index, arrival, key, hashKey(header, address), data, lineage: header.lineage)
      }
    } else {
      unsafe line(text, index, arrival, key, hashKey(header, address), data, lineage: header.lineage)
    }
  }

  /// An imported record of a shard that was opened.
  mutating func record(_ record: GatheredRecord, arrival: WallTime, index: RecordIndex) {
    let text = self.text(of: record.shard)
    let number = unsafe Array(record.sequenceNumber)
    recordCount += 1
    dataByteCount += UInt64(unsafe record.data.count)
    guard redaction != nil else {
      return unsafe line(text, index, arrival, record.key, nil, record.data, number)
    }
    redact(unsafe RawSpan(_unsafeBytes: record.data))
    unsafe payload.withUnsafeBytes { unsafe line(text, index, arrival, record.key, nil, $0, number) }
  }

  private mutating func text(of shard: ShardNumber) -> ShardText {
    if let last, last.shard == shard { return last }
    guard let text = shards[shard] else { preconditionFailure("a shard is opened before its records") }
    last = text
    return text
  }

  private func hashKey(_ header: RecordHeader, _ address: UnsafeRawPointer) -> HashKey? {
    guard header.hasExplicitHashKey else { return nil }
    return unsafe HashKey(
      UInt128(littleEndian: address.loadUnaligned(fromByteOffset: RecordLayout.headerByteCount, as: UInt128.self)))
  }

  private mutating func redact(_ data: RawSpan) {
    guard let redaction else { return }
    payload.removeAll(keepingCapacity: true)
    if !redaction.rewrite(data, to: &payload) { redactedWhole += 1 }
  }

  private mutating func line(
    _ text: ShardText, _ index: RecordIndex, _ arrival: WallTime, _ key: UnsafeRawBufferPointer, _ hashKey: HashKey?,
    _ data: UnsafeRawBufferPointer, _ sequenceNumber: [UInt8] = [], lineage: Lineage = .none
  ) {
    // Keys become six times as long at most; numbers have 20 digits, hash keys 39.
    reserve(320 + (key.count + sequenceNumber.count) * 6 + (data.count + 2) / 3 * 4 + data.count)
    let start = unsafe bytes.baseAddress.unsafelyUnwrapped + count
    var out = unsafe LineOutput(start)
    unsafe text.prefix.withUnsafeBytes { unsafe out.put($0) }
    out.put(index.rawValue)
    out.put(#","sequenceNumber":""#)
    if sequenceNumber.isEmpty {
      out.put(SequenceNumber(shardCreatedAtSeconds: text.createdAtSeconds, shard: text.shard, index: index))
    } else {
      unsafe sequenceNumber.withUnsafeBytes { unsafe out.putEscaped($0) }
    }
    out.put(#"","arrival":"#)
    if arrival.milliseconds < 0 { out.put("-") }
    out.put(arrival.milliseconds.magnitude)
    out.put(#","key":""#)
    unsafe out.putEscaped(key)
    if let hashKey {
      out.put(#"","hashKey":""#)
      var digits = hashKey.description
      digits.withUTF8 { unsafe out.put(UnsafeRawBufferPointer($0)) }
    }
    out.put(#"""#)
    if lineage > .none {
      out.put(#","lineage":"#)
      out.put(UInt64(lineage.hops))
    }
    if unsafe JSONLine.isPlain(data) {
      out.put(#","json":"#)
      unsafe out.put(data)
    } else {
      out.put(#","base64":""#)
      unsafe out.putBase64(data)
      out.put(#"""#)
    }
    unsafe finish(from: start, to: out.address)
  }

  /// Appends a line that lacks its check and its closing brace.
  private mutating func append(line: String) {
    var line = line
    reserve(line.utf8.count + 64)
    let start = unsafe bytes.baseAddress.unsafelyUnwrapped + count
    var out = unsafe LineOutput(start)
    line.withUTF8 { unsafe out.put(UnsafeRawBufferPointer($0)) }
    unsafe finish(from: start, to: out.address)
  }

  private mutating func finish(from start: UnsafeMutableRawPointer, to end: UnsafeMutableRawPointer) {
    let check = unsafe UInt32(truncatingIfNeeded: sluice_xxh3(start, end - start, 0))
    digest = digest &* LineCheck.factor &+ UInt64(check)
    var out = unsafe LineOutput(end)
    out.put(#","check":""#)
    out.putHexadecimal(check)
    out.put("\"}\n")
    unsafe count += out.address - start
  }

  private mutating func reserve(_ extra: Int) {
    guard unsafe count + extra > bytes.count else { return }
    let larger = unsafe UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(count + extra, bytes.count * 2), alignment: 16)
    unsafe larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
    unsafe bytes.deallocate()
    unsafe bytes = larger
  }
}
