internal import EventPattern

/// The members of a JSON object, of which only those are read that are asked for.
struct JSONMembers {
  private var members: [(name: String, range: Range<Int>)] = []

  /// Of the first value of the bytes; `nil` if it is no object.
  init?(_ bytes: [UInt8]) throws(LineFault) {
    do throws(JSONFault) {
      var cursor = JSONCursor(unsafe bytes.span.bytes)
      guard try cursor.peek() == JSONByte.openBrace else { return nil }
      try cursor.enter()
      var hasMember = try cursor.hasFirst(until: JSONByte.closeBrace)
      while hasMember {
        var name: [UInt8] = []
        JSONUnescaping.decode(try cursor.key(), in: cursor.bytes, into: &name)
        let first = try cursor.peek()
        let start = cursor.position
        try cursor.skipValue(first)
        members.append((String(decoding: name, as: UTF8.self), start..<cursor.position))
        hasMember = try cursor.hasNext(until: JSONByte.closeBrace)
      }
    } catch {
      throw LineFault("this is not JSON: \(error.reason)", at: error.offset)
    }
  }

  /// Where the value of the member stands; `nil` if it is not there.
  subscript(name: String) -> Range<Int>? { members.first { $0.name == name }?.range }

  /// Where the elements of the list stand that the bytes hold there; `nil` if it is no list.
  static func elements(of bytes: [UInt8], in range: Range<Int>) throws(LineFault) -> [Range<Int>]? {
    do throws(JSONFault) {
      var cursor = JSONCursor(unsafe bytes.span.bytes.extracting(range))
      guard try cursor.peek() == JSONByte.openBracket else { return nil }
      try cursor.enter()
      var elements: [Range<Int>] = []
      var hasElement = try cursor.hasFirst(until: JSONByte.closeBracket)
      while hasElement {
        let first = try cursor.peek()
        let start = cursor.position
        try cursor.skipValue(first)
        elements.append(range.lowerBound + start..<range.lowerBound + cursor.position)
        hasElement = try cursor.hasNext(until: JSONByte.closeBracket)
      }
      return elements
    } catch {
      throw LineFault("this is not JSON: \(error.reason)", at: range.lowerBound + error.offset)
    }
  }
}

extension ImportSource {
  /// The value that begins here, behind white space, as far as it is JSON: its end in memory, or what is wrong with it.
  func valueEnd() throws(ImportError) -> Result<Int, LineFault> {
    while true {
      let (count, fault) = Self.value(unsafe bytes.span.bytes.extracting(start..<end))
      guard isAtEnd || byteCount > Self.valueByteLimit else {
        // What is wrong close to the end of what is in memory may be right with what follows.
        if let fault, fault.offset + 8 < byteCount { return .failure(Self.named(fault)) }
        if fault != nil || start + count == end {
          try moreOfPiece()
          continue
        }
        return .success(start + count)
      }
      guard let fault else { return .success(start + count) }
      guard isAtEnd else {
        return .failure(LineFault("the value has more than \(Self.valueByteLimit >> 30) GiB", at: 0))
      }
      return .failure(Self.named(fault))
    }
  }

  private static func named(_ fault: JSONFault) -> LineFault {
    LineFault("this is not JSON: \(fault.reason)", at: fault.offset)
  }

  private static func value(_ bytes: RawSpan) -> (count: Int, fault: JSONFault?) {
    do throws(JSONFault) {
      var cursor = JSONCursor(bytes)
      let first = try cursor.peek()
      try cursor.skipValue(first)
      return (cursor.position, nil)
    } catch {
      return (0, error)
    }
  }
}
