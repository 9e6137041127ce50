internal import EventPattern

extension ImportSource {
  /// The value that begins here, as far as it is JSON: its end in memory, or what is wrong with it.
  func valueEnd() throws(ImportError) -> Result<Int, LineFault> {
    while true {
      let (count, fault) = Self.value(unsafe bytes.span.bytes.extracting(start..<end))
      if let fault {
        // What is wrong close to the end of what is in memory may be right with what follows.
        if isAtEnd || fault.offset + Self.longestToken < byteCount {
          return .failure(LineFault("this is not JSON: \(fault.reason)", at: fault.offset))
        }
      } else if isAtEnd || start + count < end {
        return .success(start + count)
      }
      guard byteCount <= Self.valueByteLimit else {
        return .failure(LineFault("the value has more than \(Self.valueByteLimit >> 20) MiB", at: 0))
      }
      try moreOfPiece()
    }
  }

  /// What a fault may look ahead: the bytes of an escape or of a word.
  static let longestToken = 8

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
