public import StreamModel

/// What a format gives its records to.
struct ImportSink {
  let settings: ImportSettings
  /// Of the records so far.
  var kind: StreamKind?
  private(set) var records: [ImportedRecord] = []
  private(set) var skipped: [ImportProblem] = []
  /// Records that were looked at, the ones that were left out among them.
  private var seen: UInt64 = 0

  init(_ settings: ImportSettings) { self.settings = settings }

  /// Takes the record that `make` makes, or leaves it out.
  mutating func take(
    _ file: ImportedFile, at byte: Int, _ make: () throws(LineFault) -> ImportedRecord
  ) throws(ImportProblem) {
    do throws(LineFault) {
      let record = try make()
      guard !record.key.isEmpty, record.key.count <= Int(UInt16.max) else {
        throw LineFault("the partition key has \(record.key.count) bytes: allowed are 1 to \(UInt16.max)", at: byte)
      }
      guard String(validating: record.key, as: UTF8.self) != nil else {
        throw LineFault("the partition key is not UTF-8", at: byte)
      }
      guard record.sequenceNumber.count <= RecordLine.sequenceNumberByteLimit else {
        throw LineFault(
          "the sequence number has \(record.sequenceNumber.count) bytes: allowed are up to "
            + "\(RecordLine.sequenceNumberByteLimit)", at: byte)
      }
      records.append(record)
      seen += 1
    } catch {
      try leaveOut(LineFault(error.reason, at: max(error.offset, byte)), of: file)
    }
  }

  /// Throws it when there is more of it than may be left out.
  mutating func leaveOut(_ fault: LineFault, of file: ImportedFile) throws(ImportProblem) {
    seen += 1
    let problem = ImportProblem(
      file: file.name,
      problem: RecordingProblem(
        byte: UInt64(fault.offset), line: file.line(at: fault.offset), record: seen, reason: fault.reason))
    guard skipped.count < settings.badRecordLimit else { throw problem }
    skipped.append(problem)
  }

  mutating func takeRecords() -> [ImportedRecord] {
    defer { records = [] }
    return records
  }
}

/// Makes a recording of files that other programs have written.
///
/// All records are held in memory: the files of several shards, or pages in any order, become one recording in the order
/// of arrival.
public struct RecordingImport {
  private var sink: ImportSink
  private let format: ImportFormat?
  /// That of the first file; the others have the same.
  public private(set) var foundFormat: ImportFormat?

  /// Bytes of files that are held in memory at most.
  public static let byteLimit = 2 << 30

  /// `format`: `nil` if the files show it.
  public init(_ settings: ImportSettings, format: ImportFormat? = nil) {
    sink = ImportSink(settings)
    self.format = format
  }

  /// Whether a file that begins like this is a recording, and nothing to import.
  public static func isRecording(_ beginning: some Sequence<UInt8>) -> Bool {
    let text = beginning.lazy.filter { $0 > 0x20 }.prefix(13)
    return text.elementsEqual(Array(#"{"recording":"#.utf8))
  }

  /// Reads a whole file.
  public mutating func take(_ bytes: [UInt8], of name: String) throws(ImportProblem) {
    let file = ImportedFile(name: name, bytes: bytes)
    guard file.passSpace(from: 0) < bytes.count else { return }
    guard let format = format ?? ImportFormat.recognized(in: bytes, named: name) else {
      throw Self.problem(
        name, "this is neither a recording nor a file that can be imported: name its format with --import-format")
    }
    if let known = foundFormat, known != format {
      throw Self.problem(name, "it is \(format.rawValue), and the files before it are \(known.rawValue)")
    }
    foundFormat = format
    try format.reader.read(file, into: &sink)
  }

  private static func problem(_ name: String, _ reason: String) -> ImportProblem {
    ImportProblem(file: name, problem: RecordingProblem(byte: 0, line: 1, record: 1, reason: reason))
  }

  /// The recording of everything that was taken, as that of the stream.
  public consuming func recording(of stream: String, madeAt: WallTime) -> ImportedRecording {
    let kind = sink.kind ?? .kinesis
    let records = sink.takeRecords()
    return ImportedRecording(
      records, stream: stream, kind: kind, format: foundFormat, shardCount: sink.settings.shardCount, madeAt: madeAt,
      skipped: sink.skipped)
  }
}
