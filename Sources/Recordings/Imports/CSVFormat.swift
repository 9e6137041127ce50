internal import StreamModel

/// Comma-separated values (RFC 4180); the first row has the names. The data of a record is a JSON object of its row, whose
/// values are texts as they stand there.
struct CSVFormat: ImportFormatReading {
  func read(_ file: ImportedFile, into sink: inout ImportSink) throws(ImportProblem) {
    sink.kind = .kinesis
    let fields = try FieldReading(sink.settings, file)
    // Some programs begin a text with the mark of its encoding.
    var position = file.bytes.starts(with: [0xef, 0xbb, 0xbf]) ? 3 : 0
    let names: [String]
    do throws(LineFault) {
      names = try Self.row(of: file.bytes, &position).map { String(decoding: $0, as: UTF8.self) }
      for name in [fields.key, fields.time] where !names.contains(name) {
        throw LineFault("the first row has no \(name); it has \(names.joined(separator: ", "))")
      }
    } catch {
      throw ImportProblem(
        file: file.name,
        problem: RecordingProblem(
          byte: UInt64(error.offset), line: file.line(at: error.offset), record: 1, reason: error.reason))
    }
    while position < file.bytes.count {
      let start = position
      try sink.take(file, at: start) { () throws(LineFault) in
        let values = try Self.row(of: file.bytes, &position)
        guard values.count == names.count else {
          throw LineFault("the row has \(values.count) values, and the first one \(names.count) names", at: start)
        }
        return try Self.record(names, values, fields, at: start)
      }
    }
  }

  private static func record(
    _ names: [String], _ values: [[UInt8]], _ fields: FieldReading, at place: Int
  ) throws(LineFault) -> ImportedRecord {
    var data: [UInt8] = []
    var (key, time): ([UInt8], [UInt8]) = ([], [])
    for (name, value) in zip(names, values) {
      if name == fields.key { key = value }
      if name == fields.time { time = value }
      guard String(validating: value, as: UTF8.self) != nil else { throw LineFault("\(name) is not UTF-8", at: place) }
      ChangeReading.begin(name, &data)
      data += Array(JSONLine.quoted(String(decoding: value, as: UTF8.self)).utf8)
    }
    data.append(UInt8(ascii: "}"))
    return ImportedRecord(
      arrival: try fields.moment(time[...], at: place), key: try fields.key(key, at: place), data: data)
  }

  /// The values of the row that begins at `position`, which moves behind its end; also where the row is not one.
  private static func row(of bytes: [UInt8], _ position: inout Int) throws(LineFault) -> [[UInt8]] {
    let start = position
    var values: [[UInt8]] = []
    var fault: LineFault?
    while true {
      var value: [UInt8] = []
      if position < bytes.count, bytes[position] == UInt8(ascii: "\"") {
        position += 1
        while true {
          guard position < bytes.count else {
            throw LineFault("a quoted value has no end", at: start)
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
