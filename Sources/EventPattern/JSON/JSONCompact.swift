extension [UInt8] {
  /// Appends JSON without the space between its values.
  package mutating func append(withoutSpace json: some Sequence<UInt8>) {
    var isInText = false
    var isEscaped = false
    for byte in json {
      if !isInText, byte <= 0x20 { continue }
      append(byte)
      if isEscaped {
        isEscaped = false
      } else if byte == JSONByte.backslash {
        isEscaped = true
      } else if byte == JSONByte.quote {
        isInText.toggle()
      }
    }
  }
}
