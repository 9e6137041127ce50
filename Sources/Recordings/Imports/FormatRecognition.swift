internal import EventPattern

extension ImportFormat {
  /// What the first value of a file shows it to be; `nil` if it could be anything. Nothing of it is passed but white space, and
  /// no more is looked at than it takes: of a page its first record.
  static func recognized(in source: ImportSource) throws(ImportError) -> ImportFormat? {
    if source.name.hasSuffix(".csv") { return .csv }
    while true {
      switch look(unsafe source.bytes.span.bytes.extracting(source.start..<source.end)) {
      case .shown(let format): return format
      case .broken(let offset):
        let isCut = offset + ImportSource.longestToken >= source.byteCount && !source.isAtEnd
        guard isCut, source.byteCount <= ImportSource.valueByteLimit else { return nil }
        try source.moreOfPiece()
      }
    }
  }

  private enum Look {
    case shown(ImportFormat?)
    /// It is not JSON there, or goes on behind that.
    case broken(Int)
  }

  private static func look(_ bytes: RawSpan) -> Look {
    var cursor = JSONCursor(bytes)
    do throws(JSONFault) { return .shown(try format(&cursor)) } catch { return .broken(error.offset) }
  }

  @_lifetime(cursor: copy cursor)
  private static func format(_ cursor: inout JSONCursor) throws(JSONFault) -> ImportFormat? {
    guard try cursor.peek() == JSONByte.openBrace else { return nil }
    try cursor.enter()
    var values: [String: JSONNode] = [:]
    var isPage = false
    var hasMember = try cursor.hasFirst(until: JSONByte.closeBrace)
    while hasMember {
      var name: [UInt8] = []
      JSONUnescaping.decode(try cursor.key(), in: cursor.bytes, into: &name)
      let member = String(decoding: name, as: UTF8.self)
      let first = try cursor.peek()
      if member == "Records", first == JSONByte.openBracket, !isPage, values[member] == nil {
        try cursor.enter()
        if try cursor.hasFirst(until: JSONByte.closeBracket) { return format(ofRecord: try value(&cursor)) }
        isPage = true
      } else if ["Records", "Keys", "Metadata", "MillisBehindLatest"].contains(member), values[member] == nil {
        values[member] = try value(&cursor)
      } else {
        try cursor.skipValue(first)
      }
      hasMember = try cursor.hasNext(until: JSONByte.closeBrace)
    }
    if values["Keys"] != nil, values["Metadata"]?["WriteTimestampMicros"] != nil { return .tableExport }
    guard isPage else { return .lines }
    // A page without records is one of Kinesis if it says how far behind it is, and says nothing otherwise.
    return values["MillisBehindLatest"]?.isNull ?? true ? .tableRecords : .kinesisRecords
  }

  private static func format(ofRecord record: JSONNode) -> ImportFormat {
    if record["PartitionKey"] != nil { return .kinesisRecords }
    return record["eventSourceARN"] != nil || record["kinesis"] != nil ? .lambdaEvent : .tableRecords
  }

  @_lifetime(cursor: copy cursor)
  private static func value(_ cursor: inout JSONCursor) throws(JSONFault) -> JSONNode {
    try JSONNode(&cursor, at: 0)
  }
}
