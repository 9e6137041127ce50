internal import StreamModel

/// Events of Lambda: `{"Records":[{"eventSource":"aws:kinesis","kinesis":{…},"eventID":"shardId-…:496…",…}]}`, or with the
/// changes of a table. What was delivered several times is one record.
struct LambdaEventFormat: ImportFormatReading {
  func read(_ source: ImportSource, into sink: inout ImportSink) throws(ImportError) {
    try readRecords(of: source, into: &sink, expected: "an event with a list Records") {
      (record, event, sink) throws(ImportError) in
      let kind: StreamKind = record["kinesis"] == nil ? .dynamodb : .kinesis
      if let known = sink.kind, known != kind {
        return try sink.leaveOut(
          LineFault(
            "the record is of kind \(kind.rawValue), and those before it are of kind \(known.rawValue)",
            at: record.range.lowerBound), of: event)
      }
      sink.kind = kind
      try sink.take(event, at: record.range.lowerBound) { () throws(LineFault) in
        switch kind {
        case .kinesis: try Self.record(record, event)
        case .dynamodb: try ChangeReading.record(record, of: event.bytes)
        }
      }
    }
  }

  private static func record(_ node: JSONNode, _ file: ImportedFile) throws(LineFault) -> ImportedRecord {
    let kinesis = try node.member("kinesis")
    let number = try kinesis.text("sequenceNumber")
    let place = KinesisNumber(number)
    // The event id is the shard, a colon and the sequence number.
    let eventID = String(decoding: try node.text("eventID"), as: UTF8.self)
    guard let colon = eventID.firstIndex(of: ":"), let shard = ShardNumber(eventID[..<colon]) else {
      throw LineFault(
        "eventID is \(eventID.prefix(80)): it is the shard, a colon and the sequence number",
        at: node["eventID"]?.range.lowerBound ?? 0)
    }
    let time = "approximateArrivalTimestamp"
    return ImportedRecord(
      shard: shard, shardCreatedAtSeconds: place?.shardCreatedAtSeconds, sequenceNumber: number,
      identity: number,
      arrival: try MomentReading.moment(try kinesis.member(time), of: file.bytes, named: time, unit: .seconds),
      key: try kinesis.text("partitionKey"),
      data: try KinesisData.bytes(of: try kinesis.member("data"), named: "data"))
  }
}
