import StreamModel

@testable import Recordings

/// A recording in memory.
struct Written {
  var bytes: [UInt8]
  var lines: [[UInt8]] { bytes.split(separator: 10).map { Array($0) } }
}

struct Put: Hashable {
  var shard: UInt32 = 0
  var index: UInt64
  var arrival: Int64
  var key = "key"
  var data: [UInt8]
  var hashKey: HashKey?
  var hops = 0

  /// As a run of one record.
  var run: RecordRun {
    var packed: [UInt8] = []
    var key = key
    key.withUTF8 { key in
      data.withUnsafeBytes { data in
        RecordLayout.append(
          partitionKey: UnsafeRawBufferPointer(key), data: data, explicitHashKey: hashKey,
          lineage: Lineage(hops: hops), to: &packed)
      }
    }
    var builder = RecordRunBuilder(firstIndex: RecordIndex(index))
    let isWhole = packed.withUnsafeBytes {
      builder.append(packed: $0, recordCount: 1, firstArrival: WallTime(milliseconds: arrival))
    }
    precondition(isWhole)
    return builder.finish()
  }
}

enum Sample {
  static let header = RecordingHeader(
    stream: "flights", kind: .kinesis, streamCreatedAt: WallTime(milliseconds: 1_700_000_000_000),
    madeAt: WallTime(milliseconds: 1_700_000_100_000))

  static func shard(_ number: UInt32, parents: [UInt32] = [], first: UInt64 = 0) -> RecordedShard {
    RecordedShard(
      shard: ShardNumber(number), createdAt: WallTime(milliseconds: 1_700_000_000_000),
      createdAtSeconds: 1_700_000_000, hashKeys: .all, parents: parents.map { ShardNumber($0) },
      first: RecordIndex(first))
  }

  /// Of every kind: JSON and other bytes, escaped keys, hash keys, lineages, two shards.
  static let puts = [
    Put(index: 0, arrival: 1_700_000_000_001, key: "N14228", data: Array(#"{"a":[1,2,{"b":null}]}"#.utf8)),
    Put(shard: 1, index: 0, arrival: 1_700_000_000_001, key: "quote \" and \\ and \u{1}", data: [0, 1, 2, 255]),
    Put(index: 1, arrival: 1_700_000_000_005, key: "Zürich", data: [], hashKey: HashKey(.max)),
    Put(index: 2, arrival: 1_700_000_000_005, data: Array("plain text".utf8), hops: 3),
    Put(shard: 1, index: 1, arrival: 1_700_000_000_006, data: Array(" {}".utf8), hashKey: HashKey(7), hops: 255),
    Put(shard: 1, index: 2, arrival: 1_700_000_000_006, data: Array("{\n}".utf8)),
    Put(shard: 1, index: 3, arrival: 1_700_000_000_007, data: Array(#""check\":""#.utf8)),
  ]

  static func write(
    _ puts: [Put] = puts, header: RecordingHeader = header, isEnded: Bool = true
  ) -> Written {
    var writer = RecordingWriter(header)
    for shard in Set(puts.map(\.shard)).sorted() { writer.outline.shardOpened(self.shard(shard)) }
    for put in puts {
      writer.outline.records(at: 0..<1, of: put.run, shard: ShardNumber(put.shard))
    }
    if isEnded { writer.outline.end() }
    var bytes: [UInt8] = []
    writer.take { bytes = Array($0) }
    return Written(bytes: bytes)
  }
}

/// All of a recording, or what is wrong with it.
struct Read: Hashable {
  var header: RecordingHeader?
  var puts: [Put] = []
  var lines: [RecordingLine] = []
  var ending: RecordingEnding?
  var skipped: [RecordingProblem] = []
  var error: RecordingError?

  /// Record by record, or many in one go.
  init(
    _ bytes: [UInt8], badLineLimit: Int = 0, piece: Int = .max, inRuns: Bool = false, byteLimit: Int = .max
  ) {
    var position = 0
    var pieces: [PackedRecords] = []
    var appended = RecordingReader.Appended()
    defer { for piece in pieces { puts += Put.all(in: piece) } }
    do throws(RecordingError) {
      var reader = try RecordingReader(badLineLimit: badLineLimit) { memory throws(RecordingFileError) in
        let count = min(memory.count, bytes.count - position, piece)
        memory.copyBytes(from: bytes[position..<position + count])
        position += count
        return count
      }
      header = reader.header
      var next = try reader.next()
      while let line = next {
        guard line == .record else {
          lines.append(line)
          next = try reader.next()
          continue
        }
        let packed = PackedRecords(shard: reader.shard, first: reader.index, firstArrival: reader.arrival)
        if inRuns {
          pieces.append(packed)
          next = try reader.appendRecords(to: packed, byteLimit: byteLimit, counting: &appended)
          if next == nil { (next, appended) = (try reader.next(), .init()) }
        } else {
          reader.appendRecord(to: packed)
          puts += Put.all(in: packed)
          next = try reader.next()
        }
      }
      ending = reader.ending
      skipped = reader.skipped
    } catch {
      self.error = error
    }
  }

  /// The same with its records in the order of their shards.
  var byShard: Read {
    var read = self
    read.puts.sort { ($0.shard, $0.index) < ($1.shard, $1.index) }
    return read
  }

  var problem: RecordingProblem? {
    if case .problem(let problem)? = error { return problem }
    if case .interrupted(let problem)? = ending { return problem }
    return nil
  }
}

extension Put {
  static func all(in packed: PackedRecords) -> [Put] {
    var rest = Array(packed.bytes)[...]
    return (0..<packed.count).map { place in
      let header = rest.withUnsafeBytes { RecordHeader(at: $0.baseAddress.unsafelyUnwrapped) }
      let bytes = Array(rest.prefix(header.byteCount))
      rest = rest.dropFirst(header.byteCount)
      let hashKey =
        header.hasExplicitHashKey
        ? HashKey(
          bytes.withUnsafeBytes { UInt128(littleEndian: $0.loadUnaligned(fromByteOffset: 12, as: UInt128.self)) })
        : nil
      return Put(
        shard: packed.shard.rawValue, index: packed.first.rawValue + UInt64(place),
        arrival: packed.firstArrival.milliseconds + Int64(header.arrivalDelta),
        key: String(decoding: bytes[header.keyOffset..<header.dataOffset], as: UTF8.self),
        data: Array(bytes[header.dataOffset...]), hashKey: hashKey, hops: header.lineage.hops)
    }
  }
}

enum Imported {
  /// The recording of files, which are read `piece` bytes at a time.
  static func recording(
    of files: [[UInt8]], _ settings: ImportSettings, format: ImportFormat? = nil, piece: Int = .max
  ) throws -> ImportedRecording {
    var importing = RecordingImport(settings, format: format)
    for (number, bytes) in files.enumerated() {
      var position = 0
      try importing.take("file \(number)") { memory throws(RecordingFileError) in
        let count = min(memory.count, bytes.count - position, piece)
        memory.copyBytes(from: bytes[position..<position + count])
        position += count
        return count
      }
    }
    return try importing.recording(of: "flights", madeAt: WallTime(milliseconds: 5))
  }

  static func problem(_ error: any Error) -> RecordingProblem? {
    if case .problem(let found)? = error as? ImportError { found.problem } else { nil }
  }

  /// All of its text.
  static func text(_ recording: ImportedRecording) throws -> [UInt8] {
    let text = try recording.writing()
    var bytes: [UInt8] = []
    while true {
      let piece = try text.nextPiece()
      if piece.isEmpty { return bytes }
      bytes += piece
    }
  }
}
