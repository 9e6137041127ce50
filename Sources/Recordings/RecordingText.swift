internal import CXXHash
internal import StreamModel

/// The text of a recording, or of a part of it: lines with their checks behind each other in memory. A part becomes the
/// same text whatever stands before it.
///
/// Nothing is allocated for a record once the memory has grown.
@safe
struct RecordingText: ~Copyable {
  private var bytes: UnsafeMutableRawBufferPointer
  private(set) var byteCount = 0
  /// Of all that was appended, also of what was taken away.
  private(set) var tally = RecordingTally()
  private let redaction: Redaction?
  private var payload: [UInt8] = []

  init(_ redaction: Redaction?) {
    self.redaction = redaction
    unsafe bytes = .allocate(byteCount: 1 << 16, alignment: 16)
  }

  deinit { unsafe bytes.deallocate() }

  /// What stands there, valid in `body`.
  func withBytes<Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    unsafe try body(UnsafeRawBufferPointer(rebasing: bytes[..<byteCount]))
  }

  /// Forgets the text, and not what it came to.
  mutating func removeText() { byteCount = 0 }

  /// As it was in the beginning; the memory stays.
  mutating func removeAll() {
    byteCount = 0
    tally = RecordingTally()
  }

  /// All but the last line of a recording.
  mutating func append(_ draft: RecordingDraft) {
    for part in draft.parts {
      switch part {
      case .line(let line): append(line)
      case .records(let run, let positions, of: let shard): append(run, positions, shard)
      }
    }
  }

  /// An imported record.
  mutating func append(_ record: GatheredRecord, of shard: ShardText, arrival: WallTime, index: RecordIndex) {
    unsafe append(
      RecordPieces(
        index: index, number: .text(record.sequenceNumber), arrival: arrival, key: record.key, data: record.data),
      of: shard)
  }

  /// The last line of a recording whose lines before this came to `tally`.
  mutating func end(_ tally: RecordingTally, shardCount: Int) {
    append(#"{"records":\#(tally.recordCount),"shards":\#(shardCount),"digest":"\#(tally.digest.sixteenDigits)""#)
  }

  private mutating func append(_ run: RecordRun, _ positions: Range<Int>, _ shard: ShardText) {
    guard let first = positions.first else { return }
    var digits = SequenceNumberDigits(
      SequenceNumber(shardCreatedAtSeconds: shard.createdAtSeconds, shard: shard.shard, index: run.index(at: first)))
    for position in positions {
      let index = run.index(at: position)
      digits.advance(to: index)
      let address = unsafe run.address(at: position)
      let header = unsafe RecordHeader(at: address)
      unsafe append(
        RecordPieces(
          index: index, number: .digits(digits), arrival: run.arrival(at: position),
          key: UnsafeRawBufferPointer(start: address + header.keyOffset, count: header.keyByteCount),
          data: UnsafeRawBufferPointer(start: address + header.dataOffset, count: header.dataByteCount),
          hashKey: Self.hashKey(header, address), lineage: header.lineage),
        of: shard)
    }
  }

  private static func hashKey(_ header: RecordHeader, _ address: UnsafeRawPointer) -> HashKey? {
    guard header.hasExplicitHashKey else { return nil }
    return unsafe HashKey(
      UInt128(littleEndian: address.loadUnaligned(fromByteOffset: RecordLayout.headerByteCount, as: UInt128.self)))
  }

  private mutating func append(_ record: RecordPieces, of shard: ShardText) {
    tally.recordCount += 1
    unsafe tally.dataByteCount += UInt64(record.data.count)
    guard let redaction else { return put(record, of: shard) }
    guard let pseudonyms = redaction.pseudonyms else { return putRedacted(record, redaction, of: shard) }
    let pseudonym = unsafe pseudonyms.pseudonym(of: record.key)
    unsafe pseudonym.withUnsafeBytes { key in
      var hidden = record
      unsafe hidden.key = key
      putRedacted(hidden, redaction, of: shard)
    }
  }

  /// With the fields taken out of its payload.
  private mutating func putRedacted(_ record: RecordPieces, _ redaction: Redaction, of shard: ShardText) {
    guard redaction.hasFields else { return put(record, of: shard) }
    payload.removeAll(keepingCapacity: true)
    if unsafe !redaction.rewrite(RawSpan(_unsafeBytes: record.data), to: &payload) { tally.redactedWhole += 1 }
    // Empty data has no address, and neither has an empty array.
    unsafe payload.withUnsafeBytes { data in
      var redacted = record
      unsafe redacted.data = data
      put(redacted, of: shard)
    }
  }

  @inline(__always)
  private mutating func put(_ record: RecordPieces, of shard: ShardText) {
    reserve(record.textByteLimit)
    let start = unsafe bytes.baseAddress.unsafelyUnwrapped + byteCount
    var out = unsafe LineOutput(start)
    unsafe shard.prefix.withUnsafeBytes { unsafe out.put($0) }
    record.put(to: &out)
    unsafe finish(from: start, to: out.address)
  }

  /// A line that lacks its check and its closing brace.
  private mutating func append(_ line: String) {
    var line = line
    reserve(line.utf8.count + 64)
    let start = unsafe bytes.baseAddress.unsafelyUnwrapped + byteCount
    var out = unsafe LineOutput(start)
    line.withUTF8 { unsafe out.put(UnsafeRawBufferPointer($0)) }
    unsafe finish(from: start, to: out.address)
  }

  @inline(__always)
  private mutating func finish(from start: UnsafeMutableRawPointer, to end: UnsafeMutableRawPointer) {
    let check = unsafe UInt32(truncatingIfNeeded: sluice_xxh3(start, end - start, 0))
    var out = unsafe LineOutput(end)
    out.put(#","check":""#)
    out.putHexadecimal(check)
    out.put("\"}\n")
    let count = unsafe out.address - start
    byteCount += count
    tally.addLine(check: check, byteCount: count)
  }

  private mutating func reserve(_ extra: Int) {
    guard unsafe byteCount + extra > bytes.count else { return }
    let larger = unsafe UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(byteCount + extra, bytes.count * 2), alignment: 16)
    unsafe larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<byteCount]))
    unsafe bytes.deallocate()
    unsafe bytes = larger
  }
}

/// What stands in the line of a record behind its shard. The memory is somebody else's.
@safe
private struct RecordPieces {
  @safe enum Number {
    case digits(SequenceNumberDigits)
    /// Of an import: any text.
    case text(UnsafeRawBufferPointer)
  }

  var index: RecordIndex
  var number: Number
  var arrival: WallTime
  var key: UnsafeRawBufferPointer
  var data: UnsafeRawBufferPointer
  var hashKey: HashKey?
  var lineage = Lineage.none

  /// The greatest length of the line without the part of its shard.
  var textByteLimit: Int {
    // Escaped bytes are six times as many at most; numbers have 20 digits, hash keys 39, and sequence numbers 56. What is
    // put eight bytes at a time may reach behind the end.
    var escaped = unsafe key.count
    if case .text(let text) = number { escaped += text.count }
    return unsafe 400 + escaped * 6 + (data.count + 2) / 3 * 4 + data.count
  }

  @inline(__always)
  func put(to out: inout LineOutput) {
    out.put(index.rawValue)
    out.put(#","sequenceNumber":""#)
    switch number {
    case .digits(let digits): out.put(digits)
    case .text(let text): unsafe out.putEscaped(text)
    }
    out.put(#"","arrival":"#)
    if arrival.milliseconds < 0 { out.put("-") }
    out.put(arrival.milliseconds.magnitude)
    out.put(#","key":""#)
    unsafe out.putEscaped(key)
    if let hashKey {
      out.put(#"","hashKey":""#)
      out.put(hashKey)
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
  }
}
