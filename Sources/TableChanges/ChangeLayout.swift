import EventPattern
import StreamModel

/// Where the members of a change stand in its JSON. An empty range: it has none of that name.
struct ChangeLayout {
  /// The members of the whole record.
  enum Member: Int, CaseIterable {
    case eventID, eventName, eventVersion, eventSource, awsRegion, dynamodb, userIdentity, eventSourceARN
  }

  /// The members of `dynamodb`, in the order of AWS.
  enum Part: Int, CaseIterable {
    case creation, keys, newImage, oldImage, sequenceNumber, sizeBytes, viewType
  }

  static let members: [[UInt8]] = Member.allCases.map { Array("\($0)".utf8) }
  static let parts: [[UInt8]] = [
    "ApproximateCreationDateTime", "Keys", "NewImage", "OldImage", "SequenceNumber", "SizeBytes", "StreamViewType",
  ].map { Array($0.utf8) }

  private var memberRanges = InlineArray<8, Range<Int>>(repeating: 0..<0)
  private var partRanges = InlineArray<7, Range<Int>>(repeating: 0..<0)

  subscript(member: Member) -> Range<Int> { memberRanges[member.rawValue] }
  subscript(part: Part) -> Range<Int> { partRanges[part.rawValue] }

  /// Finds the members of a change. Throws a ``ChangeProblem`` or a `JSONFault` if it is none: a member that AWS does not
  /// have, one that stands there twice, or no JSON. What stands in the members is not looked at.
  init(_ bytes: RawSpan) throws {
    var cursor = JSONCursor(bytes)
    guard try cursor.peek() == JSONByte.openBrace else {
      throw ChangeProblem("", Excerpt.of(bytes, 0..<bytes.byteCount), "a change is a JSON object")
    }
    try cursor.enter()
    var hasMember = try cursor.hasFirst(until: JSONByte.closeBrace)
    while hasMember {
      let key = try cursor.key()
      let first = try cursor.peek()
      let place = try Self.place(of: key, in: Self.members, cursor.bytes, taken: memberRanges.span)
      let start = cursor.position
      if place == Member.dynamodb.rawValue, first == JSONByte.openBrace {
        do {
          try readParts(&cursor)
        } catch let problem as ChangeProblem {
          throw problem.inside("dynamodb")
        }
      } else {
        try cursor.skipValue(first)
      }
      memberRanges[place] = start..<cursor.position
      hasMember = try cursor.hasNext(until: JSONByte.closeBrace)
    }
    try cursor.expectEnd()
  }

  private mutating func readParts(_ cursor: inout JSONCursor) throws {
    try cursor.enter()
    var hasMember = try cursor.hasFirst(until: JSONByte.closeBrace)
    while hasMember {
      let key = try cursor.key()
      let first = try cursor.peek()
      let place = try Self.place(of: key, in: Self.parts, cursor.bytes, taken: partRanges.span)
      let start = cursor.position
      try cursor.skipValue(first)
      partRanges[place] = start..<cursor.position
      hasMember = try cursor.hasNext(until: JSONByte.closeBrace)
    }
  }

  private static func place(
    of key: JSONString, in names: [[UInt8]], _ bytes: RawSpan, taken: Span<Range<Int>>
  ) throws(ChangeProblem) -> Int {
    for place in names.indices where names[place].count == key.count && !key.hasEscapes {
      guard (0..<key.count).allSatisfy({ names[place][$0] == Excerpt.byte(of: bytes, at: key.start + $0) }) else {
        continue
      }
      let name = String(decoding: names[place], as: UTF8.self)
      guard taken[place].isEmpty else { throw ChangeProblem(name, "there twice", "each member stands there once") }
      return place
    }
    let known = names.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ", ")
    throw ChangeProblem(Excerpt.of(bytes, key.range), "there", "it is none of the members that AWS has here: \(known)")
  }
}

/// Bytes of a record for messages.
enum Excerpt {
  static let byteLimit = 80

  static func of(_ bytes: RawSpan, _ range: Range<Int>) -> String {
    let text = String(decoding: range.prefix(byteLimit).map { byte(of: bytes, at: $0) }, as: UTF8.self)
    return range.count > byteLimit ? text + "…" : text
  }

  @inline(__always)
  static func byte(of bytes: RawSpan, at offset: Int) -> UInt8 {
    unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
  }
}
