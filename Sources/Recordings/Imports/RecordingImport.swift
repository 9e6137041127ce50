public import StreamModel

/// What a format gives its records to.
struct ImportSink {
  let settings: ImportSettings
  /// Of the records so far.
  var kind: StreamKind?
  /// Of the files, once it is known.
  var gathering: RecordGathering?
  private(set) var skipped: [ImportProblem] = []
  /// Records that were looked at, the ones that were left out among them.
  private var seen: UInt64 = 0

  init(_ settings: ImportSettings) { self.settings = settings }

  /// Takes the record that `make` makes, or leaves it out.
  mutating func take(
    _ file: ImportedFile, at byte: Int, _ make: () throws(LineFault) -> ImportedRecord
  ) throws(ImportError) {
    let record: ImportedRecord
    do throws(LineFault) {
      record = try make()
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
    } catch {
      return try leaveOut(LineFault(error.reason, at: max(error.offset, byte)), of: file)
    }
    seen += 1
    do throws(RecordingFileError) { try gathering?.add(record) } catch { throw .sorting(error) }
  }

  /// Throws it when there is more of it than may be left out.
  mutating func leaveOut(_ fault: LineFault, of file: ImportedFile) throws(ImportError) {
    seen += 1
    let problem = file.problem(fault, record: seen)
    guard skipped.count < settings.badRecordLimit else { throw .problem(problem) }
    skipped.append(problem)
  }
}

/// Makes a recording of files that other programs have written.
///
/// The files of several shards, or pages in any order, become one recording in the order of arrival. Files are read piece
/// by piece, and records are put in order in the memory that the settings allow, and beyond it on disk. So the memory is
/// about twice that and the largest line or record, however large the files are.
public struct RecordingImport {
  private var sink: ImportSink
  private let format: ImportFormat?
  /// That of the first file; the others have the same.
  public private(set) var foundFormat: ImportFormat?

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

  /// Reads a whole file: `read` fills the front of the memory and says how much of it; 0 at the end.
  public mutating func take(
    _ name: String, _ read: @escaping (UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int
  ) throws(ImportError) {
    let source = unsafe ImportSource(name, read)
    guard try source.passSpace() else { return }
    let shown = format == nil ? try ImportFormat.recognized(in: source) : nil
    guard let format = format ?? shown else {
      throw Self.problem(
        name, "this is neither a recording nor a file that can be imported: name its format with --import-format")
    }
    if let known = foundFormat, known != format {
      throw Self.problem(name, "it is \(format.rawValue), and the files before it are \(known.rawValue)")
    }
    foundFormat = format
    if sink.gathering == nil { sink.gathering = RecordGathering(sink.settings, format) }
    try format.reader.read(source, into: &sink)
  }

  private static func problem(_ name: String, _ reason: String) -> ImportError {
    .problem(
      ImportProblem(file: name, problem: RecordingProblem(byte: 0, line: 1, record: 1, reason: reason)))
  }

  /// The recording of everything that was taken, as that of the stream.
  public consuming func recording(
    of stream: String, madeAt: WallTime
  ) throws(RecordingFileError) -> ImportedRecording {
    let gathering = sink.gathering ?? RecordGathering(sink.settings, .lines)
    var header = RecordingHeader(
      stream: stream, kind: sink.kind ?? .kinesis, streamCreatedAt: gathering.firstArrival ?? madeAt, madeAt: madeAt)
    header.imported = foundFormat?.rawValue
    return ImportedRecording(try gathering.end(), header: header, skipped: sink.skipped)
  }
}
