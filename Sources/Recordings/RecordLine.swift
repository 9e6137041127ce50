internal import Glibc
internal import StreamModel

/// Where the parts of a record stand in its line.
struct RecordLine {
  var shard = ShardNumber(0)
  var index = RecordIndex.zero
  var arrival = WallTime.zero
  var hashKey: HashKey?
  var lineage = Lineage.none
  var key: Range<Int> = 0..<0
  var data: Range<Int> = 0..<0
  var isBase64 = false
  /// The key, where it does not stand in the line as it is.
  var decodedKey: [UInt8] = []
  /// The sequence number, where it may be another one than shard and index make; those that the writer made of them are
  /// what the check of their line says.
  var sequenceNumber: [UInt8] = []

  /// Of a sequence number that was imported, as AWS limits it.
  static let sequenceNumberByteLimit = 128

  init() {}

  /// Reads a line as ``RecordingWriter`` writes it, whose check is right. `false` if it is another one: then it is read
  /// with care.
  @inline(__always)
  mutating func read(_ bytes: UnsafeRawBufferPointer, hasOwnNumber: Bool) -> Bool {
    var scanner = unsafe LineScanner(bytes)
    guard scanner.pass(#"{"shard":"#), let shard = scanner.number(), shard <= UInt64(UInt32.max),
      scanner.pass(#","index":"#), let index = scanner.number(), index <= SequenceNumber.greatestIndex,
      scanner.pass(#","sequenceNumber":""#)
    else { return false }
    var number: Range<Int>?
    if hasOwnNumber {
      number = scanner.plainText()
      guard number != nil, scanner.pass(#","arrival":"#) else { return false }
    } else {
      guard scanner.skip(SequenceNumber.digitCount), scanner.pass(#"","arrival":"#) else { return false }
    }
    let isNegative = scanner.pass("-")
    guard let arrival = scanner.number(), arrival <= UInt64(Int64.max), scanner.pass(#","key":""#),
      let key = scanner.plainText()
    else { return false }
    hashKey = nil
    if scanner.pass(#","hashKey":""#) {
      guard let digits = scanner.plainText(),
        let value = unsafe HashKey(decimal: String(decoding: bytes[digits], as: UTF8.self))
      else { return false }
      hashKey = value
    }
    lineage = .none
    if scanner.pass(#","lineage":"#) {
      guard let hops = scanner.number(), hops <= UInt64(Lineage.greatestHops) else { return false }
      lineage = Lineage(hops: Int(hops))
    }
    let end = bytes.count - LineCheck.suffixByteCount
    if scanner.pass(#","json":"#) {
      guard scanner.position < end else { return false }
      data = scanner.position..<end
      isBase64 = false
    } else if scanner.pass(#","base64":""#) {
      guard scanner.position < end else { return false }
      data = scanner.position..<end - 1
      isBase64 = true
    } else {
      return false
    }
    self.shard = ShardNumber(UInt32(shard))
    self.index = RecordIndex(index)
    self.arrival = WallTime(milliseconds: isNegative ? -Int64(arrival) : Int64(arrival))
    self.key = key
    if !decodedKey.isEmpty { decodedKey.removeAll(keepingCapacity: true) }
    if !sequenceNumber.isEmpty { sequenceNumber.removeAll(keepingCapacity: true) }
    if let number { unsafe sequenceNumber.append(contentsOf: bytes[number]) }
    return true
  }

  /// Of a line that is read with care.
  mutating func read(_ members: LineMembers) throws(LineFault) {
    shard = try members.shard("shard")
    index = try members.index("index")
    arrival = try members.moment("arrival")
    hashKey = try members.hashKey("hashKey")
    lineage = Lineage(hops: Int(try members.number(ifThere: "lineage", in: 0...Int64(Lineage.greatestHops)) ?? 0))
    decodedKey = try members.text("key")
    guard !decodedKey.isEmpty, decodedKey.count <= Int(UInt16.max) else {
      throw LineFault("key has \(decodedKey.count) bytes: allowed are 1 to \(UInt16.max)")
    }
    sequenceNumber = try members.text(ifThere: "sequenceNumber") ?? []
    switch (members.range("json"), members.range("base64")) {
    case (let json?, nil):
      (data, isBase64) = (json, false)
    case (nil, let text?):
      _ = try members.text("base64")
      (data, isBase64) = (text.lowerBound + 1..<text.upperBound - 1, true)
    case (nil, nil): throw LineFault("the payload is missing: json or base64")
    case (.some, .some): throw LineFault("there are two payloads, json and base64")
    }
  }
}

/// Passes through the line of a record.
@safe
private struct LineScanner {
  let bytes: UnsafeRawBufferPointer
  var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = bytes }

  @inline(__always)
  private var address: UnsafeRawPointer { unsafe bytes.baseAddress.unsafelyUnwrapped + position }

  @inline(__always)
  mutating func pass(_ text: StaticString) -> Bool {
    let count = text.utf8CodeUnitCount
    guard unsafe bytes.count &- position >= count, unsafe memcmp(address, text.utf8Start, count) == 0 else {
      return false
    }
    position &+= count
    return true
  }

  @inline(__always)
  mutating func skip(_ count: Int) -> Bool {
    guard unsafe bytes.count &- position >= count else { return false }
    position &+= count
    return true
  }

  /// Digits, up to nineteen of them: no leading zero.
  @inline(__always)
  mutating func number() -> UInt64? {
    let start = position
    var number: UInt64 = 0
    while true {
      // Eight at a time: within a line there always are so many bytes behind a number.
      guard let word = nextEight else { return nil }
      let count = EightBytes.leadingDigits(word)
      if count > 0 { number = number &* EightBytes.powerOfTen(count) &+ EightBytes.number(word, digits: count) }
      position &+= count
      guard count == 8, position &- start <= 16 else { break }
    }
    let count = position &- start
    guard count > 0, count <= 19 else { return nil }
    if count > 1, unsafe bytes[start] == 48 { return nil }
    return number
  }

  /// The text up to the next quote, which is passed; `nil` if anything in it is escaped, or it is empty.
  @inline(__always)
  mutating func plainText() -> Range<Int>? {
    let start = position
    while let word = nextEight {
      let count = EightBytes.leadingPlain(word)
      position &+= count
      guard count < 8 else { continue }
      guard unsafe bytes[position] == 0x22, position > start else { return nil }
      position &+= 1
      return start..<position &- 1
    }
    return nil
  }

  /// The first of them lowest. `nil` near the end of the line, where its check stands.
  @inline(__always)
  private var nextEight: UInt64? {
    guard unsafe bytes.count &- position >= 8 else { return nil }
    return unsafe UInt64(littleEndian: address.loadUnaligned(as: UInt64.self))
  }
}
