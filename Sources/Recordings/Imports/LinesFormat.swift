internal import StreamModel

/// A JSON object on each line: it is the data; one of its fields is the partition key, another one the time.
struct LinesFormat: ImportFormatReading {
  func read(_ source: ImportSource, into sink: inout ImportSink) throws(ImportError) {
    sink.kind = .kinesis
    let fields = try FieldReading(sink.settings, source)
    try readLines(of: source, into: &sink) { (node, file) throws(LineFault) in
      let time = try node.member(fields.time)
      let arrival: WallTime
      if case .text(let text) = time.value {
        arrival = try fields.moment(text[...], at: time.range.lowerBound)
      } else {
        arrival = try MomentReading.moment(time, of: file.bytes, named: fields.time, unit: fields.unit)
      }
      return ImportedRecord(arrival: arrival, key: try key(node, fields, file), data: Array(file.bytes[node.range]))
    }
  }

  private func key(_ node: JSONNode, _ fields: FieldReading, _ file: ImportedFile) throws(LineFault) -> [UInt8] {
    guard let field = node[fields.key] else { return try fields.key([], at: node.range.lowerBound) }
    switch field.value {
    case .text(let text): return try fields.key(text, at: field.range.lowerBound)
    case .number: return Array(file.bytes[field.range])
    default: throw LineFault("\(fields.key) must be a text or a number: it is the key", at: field.range.lowerBound)
    }
  }
}

/// The two fields that a record needs.
struct FieldReading {
  let key: String
  let time: String
  let unit: MomentReading.Unit
  private let missingKey: [UInt8]?

  init(_ settings: ImportSettings, _ source: ImportSource) throws(ImportError) {
    guard let key = settings.keyField, let time = settings.timeField else {
      let fault = LineFault(
        "this is no recording: to import what it holds, name the fields with the partition key and the time of arrival, "
          + "--key-field and --time-field")
      throw .problem(source.piece(to: source.start).problem(fault, record: 1))
    }
    self.key = key
    self.time = time
    missingKey = settings.missingKey.map { Array($0.utf8) }
    unit =
      switch settings.timeUnit {
      case .seconds: .seconds
      case .milliseconds: .milliseconds
      case .microseconds: .microseconds
      }
  }

  /// A time that stands in a text.
  func moment(_ text: ArraySlice<UInt8>, at place: Int) throws(LineFault) -> WallTime {
    if let moment = MomentReading.calendar(text) ?? MomentReading.number(text, unit: unit) { return moment }
    throw LineFault(
      "\(time) is \(JSONLine.quoted(String(decoding: text.prefix(60), as: UTF8.self))): write a time such as "
        + "2026-11-21T08:00:00Z, or a number since 1970", at: place)
  }

  /// The key of a record whose field holds this text.
  func key(_ text: [UInt8], at place: Int) throws(LineFault) -> [UInt8] {
    if !text.isEmpty { return text }
    guard let missingKey else {
      throw LineFault(
        "there is no value in \(key), the key field: name a key for such records with --missing-key", at: place)
    }
    return missingKey
  }
}
