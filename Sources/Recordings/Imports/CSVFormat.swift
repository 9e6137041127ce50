internal import StreamModel

/// Comma-separated values (RFC 4180); the first row has the names. The data of a record is a JSON object of its row, whose
/// values are texts as they stand there.
struct CSVFormat: ImportFormatReading {
  func read(_ source: ImportSource, into sink: inout ImportSink) throws(ImportError) {
    sink.kind = .kinesis
    let fields = try FieldReading(sink.settings, source)
    // Some programs begin a text with the mark of its encoding.
    while source.byteCount < 3, !source.isAtEnd { try source.more() }
    if source.bytes[source.start..<source.end].starts(with: [0xef, 0xbb, 0xbf]) { source.pass(3) }
    guard let first = try Self.nextRow(of: source, into: &sink) else { return }
    let names: [String]
    do throws(LineFault) {
      names = try Self.row(of: first.bytes).map { String(decoding: $0, as: UTF8.self) }
      for name in [fields.key, fields.time] where !names.contains(name) {
        throw LineFault("the first row has no \(name); it has \(names.joined(separator: ", "))")
      }
    } catch {
      throw .problem(first.problem(error, record: 1))
    }
    while let row = try Self.nextRow(of: source, into: &sink) {
      try sink.take(row, at: 0) { () throws(LineFault) in
        let values = try Self.row(of: row.bytes)
        guard values.count == names.count else {
          throw LineFault("the row has \(values.count) values, and the first one \(names.count) names")
        }
        return try Self.record(names, values, fields)
      }
    }
  }

  /// The next row, which is passed; `nil` at the end.
  private static func nextRow(
    of source: ImportSource, into sink: inout ImportSink
  ) throws(ImportError) -> ImportedFile? {
    while true {
      if let end = rowEnd(source) {
        let row = source.piece(to: end)
        source.pass(end - source.start)
        return row
      }
      if source.isAtEnd, source.byteCount == 0 { return nil }
      guard source.byteCount <= ImportSource.lineByteLimit else {
        try sink.leaveOut(.tooLong("row"), of: source.piece(to: source.end))
        return nil
      }
      try source.moreOfPiece()
    }
  }

  /// Behind the line feed that ends the row; `nil` if it is not in memory.
  private static func rowEnd(_ source: ImportSource) -> Int? {
    let (bytes, end) = (source.bytes, source.end)
    var position = source.start
    guard position < end else { return nil }
    let atEnd = source.isAtEnd ? end : nil
    while true {
      if position < end, bytes[position] == quote {
        position += 1
        while true {
          guard position < end else { return atEnd }
          position += 1
          guard bytes[position - 1] == quote else { continue }
          guard position < end, bytes[position] == quote else { break }
          position += 1
        }
      }
      while position < end, bytes[position] != UInt8(ascii: ","), bytes[position] != 10 { position += 1 }
      guard position < end else { return atEnd }
      position += 1
      if bytes[position - 1] == 10 { return position }
    }
  }

  private static let quote = UInt8(ascii: "\"")

  private static func record(
    _ names: [String], _ values: [[UInt8]], _ fields: FieldReading
  ) throws(LineFault) -> ImportedRecord {
    var data: [UInt8] = []
    var (key, time): ([UInt8], [UInt8]) = ([], [])
    for (name, value) in zip(names, values) {
      if name == fields.key { key = value }
      if name == fields.time { time = value }
      guard String(validating: value, as: UTF8.self) != nil else { throw LineFault("\(name) is not UTF-8") }
      ChangeReading.begin(name, &data)
      data += Array(JSONLine.quoted(String(decoding: value, as: UTF8.self)).utf8)
    }
    data.append(UInt8(ascii: "}"))
    return ImportedRecord(
      arrival: try fields.moment(time[...], at: 0), key: try fields.key(key, at: 0), data: data)
  }

  /// The values of a row.
  private static func row(of bytes: [UInt8]) throws(LineFault) -> [[UInt8]] {
    var position = 0
    var values: [[UInt8]] = []
    var fault: LineFault?
    while true {
      var value: [UInt8] = []
      if position < bytes.count, bytes[position] == UInt8(ascii: "\"") {
        position += 1
        while true {
          guard position < bytes.count else {
            throw LineFault("a quoted value has no end")
          }
          let byte = bytes[position]
          position += 1
          guard byte == UInt8(ascii: "\"") else {
            value.append(byte)
            continue
          }
          // Two quotes within quotes are one.
          guard position < bytes.count, bytes[position] == byte else { break }
          value.append(byte)
          position += 1
        }
      }
      while position < bytes.count, bytes[position] != UInt8(ascii: ","), bytes[position] != 10 {
        let byte = bytes[position]
        if byte == UInt8(ascii: "\"") { fault = fault ?? LineFault("a quote stands inside a value", at: position) }
        if byte != 13 { value.append(byte) }
        position += 1
      }
      values.append(value)
      let isEnd = position >= bytes.count || bytes[position] == 10
      position += 1
      if isEnd { break }
    }
    if let fault { throw fault }
    return values
  }
}
