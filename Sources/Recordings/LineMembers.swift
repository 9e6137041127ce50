internal import EventPattern
internal import StreamModel

/// The members of one line that is read with care: those of the other lines than records, and of records that somebody
/// else has written.
struct LineMembers {
  enum Value {
    case number(Int64)
    case text([UInt8])
    /// Numbers and texts, as they are written, without quotes.
    case list([[UInt8]])
    case other
  }

  private(set) var first: [UInt8] = []
  private var values: [[UInt8]: (value: Value, range: Range<Int>)] = [:]

  /// Of these bytes, which are one JSON object.
  init(_ bytes: RawSpan) throws(LineFault) {
    do throws(JSONFault) {
      var cursor = JSONCursor(bytes)
      guard try cursor.peek() == JSONByte.openBrace else {
        throw JSONFault(kind: .unexpectedByte, offset: cursor.position)
      }
      try cursor.enter()
      var hasMember = try cursor.hasFirst(until: JSONByte.closeBrace)
      while hasMember {
        let name = Self.decoded(try cursor.key(), bytes)
        if first.isEmpty { first = name }
        let (value, range) = try Self.value(&cursor)
        values[name] = (value, range)
        hasMember = try cursor.hasNext(until: JSONByte.closeBrace)
      }
      try cursor.expectEnd()
    } catch {
      throw LineFault("the line is not a JSON object: \(error)", at: error.offset)
    }
  }

  @_lifetime(cursor: copy cursor)
  private static func value(_ cursor: inout JSONCursor) throws(JSONFault) -> (Value, Range<Int>) {
    let byte = try cursor.peek()
    let start = cursor.position
    if byte == JSONByte.quote {
      let text = try cursor.string()
      return (.text(decoded(text, cursor.bytes)), start..<cursor.position)
    }
    if byte == JSONByte.openBracket {
      try cursor.enter()
      var list: [[UInt8]] = []
      var isPlain = true
      var hasElement = try cursor.hasFirst(until: JSONByte.closeBracket)
      while hasElement {
        let (element, range) = try value(&cursor)
        switch element {
        case .text(let text): list.append(text)
        case .number: list.append(range.map { cursor.byte(at: $0) })
        case .list, .other: isPlain = false
        }
        hasElement = try cursor.hasNext(until: JSONByte.closeBracket)
      }
      return (isPlain ? .list(list) : .other, start..<cursor.position)
    }
    try cursor.skipValue(byte)
    let range = start..<cursor.position
    let number = Int64(String(decoding: range.map { cursor.byte(at: $0) }, as: UTF8.self))
    return (number.map { .number($0) } ?? .other, range)
  }

  private static func decoded(_ string: JSONString, _ bytes: RawSpan) -> [UInt8] {
    var text: [UInt8] = []
    JSONUnescaping.decode(string, in: bytes, into: &text)
    return text
  }

  func has(_ name: String) -> Bool { values[Array(name.utf8)] != nil }

  /// Where the value stands in the line.
  func range(_ name: String) -> Range<Int>? { values[Array(name.utf8)]?.range }

  func number(_ name: String, in range: ClosedRange<Int64>) throws(LineFault) -> Int64 {
    guard let number = try number(ifThere: name, in: range) else { throw LineFault("\(name) is missing") }
    return number
  }

  func number(
    ifThere name: String, in range: ClosedRange<Int64> = .min ... .max
  ) throws(LineFault) -> Int64? {
    guard let (value, place) = values[Array(name.utf8)] else { return nil }
    guard case .number(let number) = value else {
      throw LineFault("\(name) must be a whole number", at: place.lowerBound)
    }
    guard range.contains(number) else {
      throw LineFault(
        "\(name) is \(number): allowed are \(range.lowerBound) to \(range.upperBound)", at: place.lowerBound)
    }
    return number
  }

  func text(_ name: String) throws(LineFault) -> [UInt8] {
    guard let text = try text(ifThere: name) else { throw LineFault("\(name) is missing") }
    return text
  }

  func text(ifThere name: String) throws(LineFault) -> [UInt8]? {
    guard let (value, place) = values[Array(name.utf8)] else { return nil }
    guard case .text(let text) = value else { throw LineFault("\(name) must be a text", at: place.lowerBound) }
    return text
  }

  func string(_ name: String) throws(LineFault) -> String { String(decoding: try text(name), as: UTF8.self) }

  func list(_ name: String) throws(LineFault) -> [String] {
    guard let (value, place) = values[Array(name.utf8)] else { return [] }
    guard case .list(let list) = value else {
      throw LineFault("\(name) must be a list of texts or numbers", at: place.lowerBound)
    }
    return list.map { String(decoding: $0, as: UTF8.self) }
  }

  func hashKey(_ name: String) throws(LineFault) -> HashKey? {
    guard let text = try text(ifThere: name) else { return nil }
    guard let key = HashKey(decimal: String(decoding: text, as: UTF8.self)) else {
      throw LineFault(
        "\(name) must be a number from 0 to 2^128-1, as a text", at: range(name)?.lowerBound ?? 0)
    }
    return key
  }

  static let shards: ClosedRange<Int64> = 0...Int64(UInt32.max)
  static let indexes: ClosedRange<Int64> = 0...(.max)

  func shard(_ name: String) throws(LineFault) -> ShardNumber { ShardNumber(UInt32(try number(name, in: Self.shards))) }

  func index(_ name: String) throws(LineFault) -> RecordIndex {
    RecordIndex(UInt64(try number(name, in: Self.indexes)))
  }

  func moment(_ name: String) throws(LineFault) -> WallTime {
    WallTime(milliseconds: try number(name, in: .min ... .max))
  }
}
