internal import EventPattern
internal import StreamModel

/// Takes the values of some fields out of JSON payloads.
struct Redaction: Hashable, Sendable {
  /// What a value becomes. An attribute of a table's item stays one.
  private let replacement: [UInt8]
  /// Each path as the UTF-8 of its names.
  private let paths: [[[UInt8]]]
  /// What keys become, if they are not to be known.
  let pseudonyms: KeyPseudonyms?

  /// Whether something is taken out of payloads.
  var hasFields: Bool { !paths.isEmpty }

  /// What a recording is to lack; `nil` if nothing.
  init?(of header: RecordingHeader) {
    guard header.isRedacted else { return nil }
    var pseudonyms: KeyPseudonyms?
    if header.keys == .pseudonyms { pseudonyms = header.keySecret.map { KeyPseudonyms(secret: $0) } ?? .random() }
    self.init(header.redacted, kind: header.kind, pseudonyms)
  }

  /// Paths such as `crew.name`.
  init(_ fields: [String], kind: StreamKind, _ pseudonyms: KeyPseudonyms? = nil) {
    self.pseudonyms = pseudonyms
    replacement = Array((kind == .dynamodb ? #"{"S":"[redacted]"}"# : #""[redacted]""#).utf8)
    paths = fields.map { $0.split(separator: ".", omittingEmptySubsequences: false).map { Array($0.utf8) } }
  }

  /// Appends the payload without the values. `false` if it is not JSON; then it is replaced as a whole.
  func rewrite(_ data: RawSpan, to target: inout [UInt8]) -> Bool {
    let start = target.count
    var cursor = JSONCursor(data)
    var writer = Writer(target: target, replacement: replacement)
    do throws(JSONFault) {
      try writer.value(&cursor, paths)
      try cursor.expectEnd()
      writer.copy(cursor, to: data.byteCount)
      target = writer.target
      return true
    } catch {
      target.removeLast(target.count - start)
      target += replacement
      return false
    }
  }

  private struct Writer {
    var target: [UInt8]
    /// Up to here the payload was copied or left out.
    private var copied = 0

    private let replacement: [UInt8]

    init(target: [UInt8], replacement: [UInt8]) {
      self.target = target
      self.replacement = replacement
    }

    mutating func copy(_ cursor: borrowing JSONCursor, to end: Int) {
      while copied < end {
        target.append(cursor.byte(at: copied))
        copied += 1
      }
    }

    /// Passes a value, of which the fields at `paths` are taken out. An empty path is the value itself.
    @_lifetime(cursor: copy cursor)
    mutating func value(_ cursor: inout JSONCursor, _ paths: [[[UInt8]]]) throws(JSONFault) {
      let first = try cursor.peek()
      if paths.contains(where: \.isEmpty) {
        copy(cursor, to: cursor.position)
        try cursor.skipValue(first)
        copied = cursor.position
        target += replacement
      } else if paths.isEmpty {
        try cursor.skipValue(first)
      } else if first == JSONByte.openBrace {
        try members(&cursor, paths)
      } else if first == JSONByte.openBracket {
        try cursor.enter()
        var hasElement = try cursor.hasFirst(until: JSONByte.closeBracket)
        while hasElement {
          try value(&cursor, paths)
          hasElement = try cursor.hasNext(until: JSONByte.closeBracket)
        }
      } else {
        try cursor.skipValue(first)
      }
    }

    @_lifetime(cursor: copy cursor)
    private mutating func members(_ cursor: inout JSONCursor, _ paths: [[[UInt8]]]) throws(JSONFault) {
      try cursor.enter()
      var hasMember = try cursor.hasFirst(until: JSONByte.closeBrace)
      while hasMember {
        let key = try cursor.key()
        var name: [UInt8] = []
        JSONUnescaping.decode(key, in: cursor.bytes, into: &name)
        try value(&cursor, paths.filter { $0.first == name }.map { Array($0.dropFirst()) })
        hasMember = try cursor.hasNext(until: JSONByte.closeBrace)
      }
    }
  }
}
