internal import StreamModel

/// What a file that is no recording holds.
public enum ImportFormat: String, CaseIterable, Sendable {
  /// The output of `aws kinesis get-records`.
  case kinesisRecords = "kinesis-records"
  /// The output of `aws dynamodbstreams get-records`.
  case tableRecords = "table-records"
  /// Events of Lambda with records of either kind of stream.
  case lambdaEvent = "lambda-event"
  /// The data files of an incremental export of a table, in DynamoDB JSON.
  case tableExport = "table-export"
  /// JSON objects, one on each line.
  case lines
  /// Rows, and their names in the first one.
  case csv

  var reader: any ImportFormatReading {
    switch self {
    case .kinesisRecords: KinesisRecordsFormat()
    case .tableRecords: TableRecordsFormat()
    case .lambdaEvent: LambdaEventFormat()
    case .tableExport: TableExportFormat()
    case .lines: LinesFormat()
    case .csv: CSVFormat()
    }
  }

  /// What the first value of a file shows it to be; `nil` if it could be anything.
  static func recognized(in bytes: [UInt8], named name: String) -> ImportFormat? {
    if name.hasSuffix(".csv") { return .csv }
    let first: JSONNode
    do throws(LineFault) { first = try JSONNode(bytes, from: 0, to: bytes.count) } catch { return nil }
    guard first.members != nil else { return nil }
    if first["Metadata"]?["WriteTimestampMicros"] != nil, first["Keys"] != nil { return .tableExport }
    guard let records = first["Records"]?.elements else { return .lines }
    // A page without records is one of Kinesis if it says how far behind it is, and says nothing otherwise.
    guard let record = records.first else {
      return first["MillisBehindLatest"] == nil ? .tableRecords : .kinesisRecords
    }
    if record["PartitionKey"] != nil { return .kinesisRecords }
    return record["eventSourceARN"] != nil || record["kinesis"] != nil ? .lambdaEvent : .tableRecords
  }
}

/// How records are made out of what is imported, where the file does not say it itself.
public struct ImportSettings: Sendable {
  /// What a number in the time field counts.
  public enum TimeUnit: String, CaseIterable, Sendable {
    case seconds = "s"
    case milliseconds = "ms"
    case microseconds = "us"
  }

  /// The field that holds the partition key, and the one that holds the arrival: of lines and CSV.
  public var keyField: String?
  public var timeField: String?
  public var timeUnit = TimeUnit.milliseconds
  /// The partition key where the field is empty, missing or null; `nil`: that is an error.
  public var missingKey: String?
  /// So many shards share what has no shards of its own, by partition key.
  public var shardCount = 1
  /// Records that may be left out.
  public var badRecordLimit = 0

  public init() {}
}

/// Reads the records out of one kind of file.
protocol ImportFormatReading {
  /// Gives each record of the file to the sink, or what is wrong with it.
  func read(_ file: ImportedFile, into sink: inout ImportSink) throws(ImportProblem)
}

extension ImportFormatReading {
  /// The JSON values of a file, one behind the other. What follows one that is not JSON is nothing that could be read.
  func readValues(
    of file: ImportedFile, into sink: inout ImportSink,
    _ body: (JSONNode, inout ImportSink) throws(ImportProblem) -> Void
  ) throws(ImportProblem) {
    var position = file.passSpace(from: 0)
    while position < file.bytes.count {
      let node: JSONNode
      do throws(LineFault) {
        node = try JSONNode(file.bytes, from: position, to: file.bytes.count)
      } catch {
        return try sink.leaveOut(
          LineFault("\(error.reason); nothing behind it can be read", at: error.offset), of: file)
      }
      try body(node, &sink)
      position = file.passSpace(from: node.range.upperBound)
    }
  }

  /// The records of each `{"Records":[…]}` of a file.
  func readRecords(
    of file: ImportedFile, into sink: inout ImportSink,
    _ make: (JSONNode, ImportedFile) throws(LineFault) -> ImportedRecord
  ) throws(ImportProblem) {
    try readValues(of: file, into: &sink) { (node, sink) throws(ImportProblem) in
      guard let records = node["Records"]?.elements else {
        return try sink.leaveOut(
          LineFault("a JSON object with a list Records was expected", at: node.range.lowerBound), of: file)
      }
      for record in records {
        try sink.take(file, at: record.range.lowerBound) { () throws(LineFault) in try make(record, file) }
      }
    }
  }

  /// The lines of a file that are not empty, each of which is one JSON object.
  func readLines(
    of file: ImportedFile, into sink: inout ImportSink,
    _ make: (JSONNode, ImportedFile) throws(LineFault) -> ImportedRecord
  ) throws(ImportProblem) {
    var start = 0
    while start < file.bytes.count {
      let end = file.bytes[start...].firstIndex(of: 10) ?? file.bytes.count
      let first = file.passSpace(from: start, to: end)
      if first < end {
        try sink.take(file, at: first) { () throws(LineFault) in
          let node = try JSONNode(file.bytes, from: first, to: end)
          guard node.members != nil else { throw LineFault("the line is not a JSON object", at: first) }
          let rest = file.passSpace(from: node.range.upperBound, to: end)
          guard rest == end else { throw LineFault("something follows the JSON object of the line", at: rest) }
          return try make(node, file)
        }
      }
      start = end + 1
    }
  }
}

/// A file that is imported.
struct ImportedFile {
  let name: String
  let bytes: [UInt8]

  func passSpace(from start: Int, to end: Int? = nil) -> Int {
    let end = end ?? bytes.count
    var position = start
    while position < end, [0x20, 0x09, 0x0a, 0x0d].contains(bytes[position]) { position += 1 }
    return position
  }

  /// The line, counted from 1, in which a byte stands.
  func line(at byte: Int) -> UInt64 { 1 + UInt64(bytes[..<min(byte, bytes.count)].count { $0 == 10 }) }
}

/// A record as a file has it.
struct ImportedRecord {
  /// `nil` where the file does not tell it.
  var shard: ShardNumber?
  var shardCreatedAtSeconds: UInt64?
  /// What handlers know it by, if the file says so.
  var sequenceNumber: [UInt8] = []
  /// Two records with the same are one; empty if nothing tells.
  var identity: [UInt8] = []
  var arrival: WallTime
  var key: [UInt8]
  var hashKey: HashKey?
  var data: [UInt8]
}

/// What is wrong with a file that is imported, and where.
public struct ImportProblem: Error, Hashable, Sendable, CustomStringConvertible {
  public var file: String
  public var problem: RecordingProblem

  public var description: String { "\(file): \(problem)" }
}
