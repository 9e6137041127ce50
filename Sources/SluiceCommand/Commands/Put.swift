import ArgumentParser
import Foundation
import Sluice
import StreamModel

struct Put: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Put the lines of a file as records.",
    discussion: """
      Each line is one record. All lines of a file are checked before the first is put; from standard input they are \
      put as they come.

      In a stream of the changes of a table (kind dynamodb) each line is one change, in the JSON of a DynamoDB stream \
      record; without a partition key of your own, its Keys are the key.

      Examples:
        sluice put flights flights.ndjson --key-field tailnum --missing-key none --create-shards 4
        zcat flights.ndjson.gz | sluice put flights - --key-field tailnum --missing-key none
        echo hello | sluice put greetings --partition-key me --create-shards 1
        sluice put orders changes.ndjson --create-shards 1 --kind dynamodb
      """)

  @Argument(help: "The stream.") var stream: String
  @Argument(help: "A file, or - for standard input.") var file = "-"
  @Option(help: "Take the partition key from this field of each JSON line.") var keyField: String?
  @Option(help: "Use this partition key for all records.") var partitionKey: String?
  @Option(help: "The partition key where the field is missing or null. Default: such a line is an error.")
  var missingKey: String?
  @Option(help: "Create the stream with so many shards if it does not exist.") var createShards: Int?
  @Option(help: "With --create-shards: kinesis, or dynamodb for the changes of a table.") var kind: StreamKindName?
  @OptionGroup var store: DataOptions

  /// Records and bytes of one request: large enough for the disk, small enough to show progress.
  private static let recordsPerPut = 500
  private static let bytesPerPut = 4_194_304

  func validate() throws {
    if keyField != nil, partitionKey != nil {
      throw ValidationError("Give either --key-field NAME or --partition-key KEY.")
    }
    if kind != nil, createShards == nil { throw ValidationError("--kind goes with --create-shards.") }
    if missingKey != nil, keyField == nil { throw ValidationError("--missing-key goes with --key-field.") }
  }

  func run() async throws {
    let operating = try await Connection.act(on: store.dataDirectory, creates: createShards != nil)
    let report = try await describe(operating)
    let lines = RecordLines(
      key: try key(ofKind: report.kind), missingKey: missingKey, recordByteLimit: report.recordByteLimit,
      holdsChanges: report.kind == .dynamodb)
    if file != "-" { try check(lines) }
    var total = PutTotal()
    do {
      try await putAll(lines, through: operating, into: &total)
    } catch let problem as Problem where total.records > 0 {
      throw Problem(problem.exitCode, "\(problem.message)\n\(Text.records(total.records)) before it were put.")
    }
    if store.output.isJSON { try printJSON(total.report) } else { print(total.text(stream: stream)) }
  }

  private func key(ofKind kind: StreamKind) throws -> RecordLines.Key {
    if let keyField {
      guard kind == .kinesis else {
        throw Problem(
          Exit.wrongUsage,
          "--key-field is for streams of Kinesis: \(stream) holds changes, which come under their Keys.")
      }
      return .field(keyField)
    }
    if let partitionKey { return .fixed(partitionKey) }
    guard kind == .dynamodb else {
      throw Problem(Exit.wrongUsage, "Give either --key-field NAME or --partition-key KEY.")
    }
    return .change
  }

  /// The stream, which is made if that is asked for.
  private func describe(_ operating: any Writing) async throws -> StreamReport {
    let answer = await operating.perform(.describeStream(name: stream))
    if case .streams(let streams) = answer, let first = streams.first {
      guard let kind, kind.kind != first.kind else { return first }
      throw Problem(
        Exit.badInput, "--kind is \(kind.rawValue): \(stream) is there, and of kind \(first.kind.rawValue).")
    }
    guard let createShards else {
      guard case .refused(let refusal) = answer, refusal.reason == .badInput else { throw Problem(answer) }
      throw Problem(Exit.badInput, "\(refusal.message) Create it with --create-shards N.")
    }
    // Nothing is made for a command that cannot go on.
    _ = try key(ofKind: kind?.kind ?? .kinesis)
    if file != "-" { _ = try LineReader(path: file) }
    let created = await operating.perform(
      .createStream(
        name: stream, shards: createShards, retentionMilliseconds: 86_400_000, recordByteLimit: 1_048_576,
        kind: kind?.kind ?? .kinesis))
    guard case .streams(let streams) = created, let first = streams.first else { throw Problem(created) }
    return first
  }

  private func check(_ lines: RecordLines) throws {
    var reader = try LineReader(path: file)
    var number = 0
    var packed: [UInt8] = []
    while let line = try reader.next() {
      number += 1
      packed.removeAll(keepingCapacity: true)
      try lines.append(line, number: number, to: &packed)
    }
  }

  private func putAll(_ lines: RecordLines, through operating: any Writing, into total: inout PutTotal) async throws {
    var reader = try LineReader(path: file)
    var progress = ProgressLine(isQuiet: store.output.isJSON)
    let pace = Pace()
    let byteCount = (try? FileManager.default.attributesOfItem(atPath: file))?[.size] as? Int
    var packed: [UInt8] = []
    var waiting = 0
    var number = 0
    var read = 0
    while let line = try reader.next() {
      number += 1
      read += line.count + 1
      try lines.append(line, number: number, to: &packed)
      waiting += 1
      if waiting == Self.recordsPerPut || packed.count >= Self.bytesPerPut {
        total.add(try await put(packed, operating))
        packed.removeAll(keepingCapacity: true)
        waiting = 0
        progress.show(
          "\(Text.records(total.records)) put, \(pace.rate(total.records))\(pace.left(read, of: byteCount))")
      }
    }
    if waiting > 0 { total.add(try await put(packed, operating)) }
    progress.clear()
  }

  private func put(_ packed: [UInt8], _ operating: any Writing) async throws -> PutReport {
    switch await operating.put(packed, into: stream, lineage: try CallingFunction.lineage()) {
    case .stored(let report): return report
    case .refused(let refusal): throw Problem(refusal)
    }
  }
}

/// Adds up what several requests stored.
struct PutTotal {
  private(set) var report = PutReport(records: 0, shards: [])
  var records: Int { report.records }

  mutating func add(_ part: PutReport) {
    report.records += part.records
    for shard in part.shards {
      if let position = report.shards.firstIndex(where: { $0.shard == shard.shard }) {
        report.shards[position].records += shard.records
        report.shards[position].lastSequenceNumber = shard.lastSequenceNumber
      } else {
        report.shards.append(shard)
      }
    }
    report.shards.sort { $0.shard < $1.shard }
  }

  func text(stream: String) -> String {
    let shards = report.shards.map { "  \($0.shard)  \(Text.records($0.records))" }
    return (["\(Text.records(report.records)) put into \(stream)"] + shards).joined(separator: "\n")
  }
}
