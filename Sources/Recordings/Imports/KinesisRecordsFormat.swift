internal import StreamModel

/// `{"Records":[{"SequenceNumber":"496…","ApproximateArrivalTimestamp":…,"Data":"base64","PartitionKey":"…"}],…}`: pages of
/// `aws kinesis get-records`, one or several behind one another. The shard stands in the sequence number.
struct KinesisRecordsFormat: ImportFormatReading {
  func read(_ source: ImportSource, into sink: inout ImportSink) throws(ImportError) {
    sink.kind = .kinesis
    try readRecords(of: source, into: &sink, expected: "a JSON object with a list Records") {
      (node, page, sink) throws(ImportError) in
      try sink.take(page, at: node.range.lowerBound) { () throws(LineFault) in try Self.record(node, page) }
    }
  }

  static func record(_ node: JSONNode, _ page: ImportedFile) throws(LineFault) -> ImportedRecord {
    let number = try node.text("SequenceNumber")
    let data = try node.member("Data")
    let place = KinesisNumber(number)
    return ImportedRecord(
      shard: place?.shard, shardCreatedAtSeconds: place?.shardCreatedAtSeconds, sequenceNumber: number,
      identity: number,
      arrival: try MomentReading.moment(
        try node.member("ApproximateArrivalTimestamp"), of: page.bytes, named: "ApproximateArrivalTimestamp",
        unit: .seconds),
      key: try node.text("PartitionKey"), data: try KinesisData.bytes(of: data, named: "Data"))
  }
}

/// The data of a record in base64.
enum KinesisData {
  static func bytes(of node: JSONNode, named name: String) throws(LineFault) -> [UInt8] {
    guard case .text(let text) = node.value, let bytes = Base64Reading.bytes(of: text) else {
      throw LineFault("\(name) must be base64", at: node.range.lowerBound)
    }
    return bytes
  }
}

/// What AWS's own sequence number tells of its shard. In hexadecimal: 2, nine digits of seconds when the shard was made,
/// one of the shard, sixteen of a number within it, two zeros, nine of seconds, eight of the shard, 2.
struct KinesisNumber {
  var shard: ShardNumber
  var shardCreatedAtSeconds: UInt64

  /// `nil` if it is not made like that, as those of other services are.
  init?(_ text: [UInt8]) {
    guard let (upper, lower) = SequenceNumber.halves(ofDigits: text) else { return nil }
    let number = UInt32(truncatingIfNeeded: lower >> 4)
    guard upper >> 56 == 2, lower & 15 == 2, upper >> 16 & 15 == UInt64(number & 15) else { return nil }
    shard = ShardNumber(number)
    shardCreatedAtSeconds = upper >> 20 & (1 << 36 - 1)
  }
}
