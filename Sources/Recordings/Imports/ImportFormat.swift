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

  /// Its records tell nothing but a time to put them in order by, and nothing that two copies of one have in common.
  var isInOrderOfTime: Bool {
    switch self {
    case .kinesisRecords, .tableRecords, .lambdaEvent: false
    case .tableExport, .lines, .csv: true
    }
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
  /// So much memory holds records that are put in order; what is more goes to files without a name.
  public var sortingByteLimit = 64 << 20
  /// The folder on whose disk these are.
  public var sortingFolder = "/var/tmp"

  public init() {}
}

/// Reads the records out of one kind of file.
protocol ImportFormatReading {
  /// Gives each record of the file to the sink, or what is wrong with it.
  func read(_ source: ImportSource, into sink: inout ImportSink) throws(ImportError)
}

extension ImportFormatReading {
  /// The lines of a file that are not empty, each of which is one JSON object.
  func readLines(
    of source: ImportSource, into sink: inout ImportSink,
    _ make: (JSONNode, ImportedFile) throws(LineFault) -> ImportedRecord
  ) throws(ImportError) {
    var looked = 0
    while true {
      if let end = source.bytes[(source.start + looked)..<source.end].firstIndex(of: 10) {
        try readLine(source.piece(to: end), into: &sink, make)
        source.pass(end + 1 - source.start)
        looked = 0
      } else if source.isAtEnd {
        return try readLine(source.piece(to: source.end), into: &sink, make)
      } else {
        looked = source.byteCount
        guard looked <= ImportSource.lineByteLimit else {
          return try sink.leaveOut(.tooLong("line"), of: source.piece(to: source.end))
        }
        try source.more()
      }
    }
  }

  private func readLine(
    _ line: ImportedFile, into sink: inout ImportSink,
    _ make: (JSONNode, ImportedFile) throws(LineFault) -> ImportedRecord
  ) throws(ImportError) {
    let (first, end) = (line.passSpace(from: 0), line.bytes.count)
    guard first < end else { return }
    try sink.take(line, at: first) { () throws(LineFault) in
      let node = try JSONNode(line.bytes, from: first, to: end)
      guard node.members != nil else { throw LineFault("the line is not a JSON object", at: first) }
      let rest = line.passSpace(from: node.range.upperBound, to: end)
      guard rest == end else { throw LineFault("something follows the JSON object of the line", at: rest) }
      return try make(node, line)
    }
  }
}

extension LineFault {
  static func tooLong(_ what: String) -> LineFault {
    LineFault(
      "the \(what) has more than \(ImportSource.lineByteLimit >> 20) MiB; nothing behind it can be read")
  }
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
  var data: [UInt8]
}
