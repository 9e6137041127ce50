internal import StreamModel

/// `{"Metadata":{"WriteTimestampMicros":{"N":"…"}},"Keys":{…},"NewImage":{…},"OldImage":{…}}` on each line: the data files
/// of an incremental export. It has the last change of each item of its time alone.
struct TableExportFormat: ImportFormatReading {
  private static let time = "WriteTimestampMicros"

  func read(_ source: ImportSource, into sink: inout ImportSink) throws(ImportError) {
    sink.kind = .dynamodb
    try readLines(of: source, into: &sink) { (node, file) throws(LineFault) in try Self.record(node, file) }
  }

  private static func record(_ node: JSONNode, _ file: ImportedFile) throws(LineFault) -> ImportedRecord {
    let arrival = try moment(try node.member("Metadata").member(time), file)
    let keys = try node.member("Keys")
    let (new, old) = (node["NewImage"], node["OldImage"])
    // What happened shows in the images that are there. A change without any is a deletion in an export of new images.
    let name = new == nil ? "REMOVE" : old == nil ? "INSERT" : "MODIFY"
    let view = new == nil && old == nil ? "NEW_IMAGE" : "NEW_AND_OLD_IMAGES"
    var data = Array(#"{"eventName":"\#(name)","dynamodb":{"#.utf8)
    data += Array(#""ApproximateCreationDateTime":\#(arrival.milliseconds / 1_000),"Keys":"#.utf8)
    keys.appendCompact(of: file.bytes, to: &data)
    for (name, image) in [("NewImage", new), ("OldImage", old)] {
      guard let image else { continue }
      data += Array(#","\#(name)":"#.utf8)
      image.appendCompact(of: file.bytes, to: &data)
    }
    data += Array(#","StreamViewType":"\#(view)"}}"#.utf8)
    return try ChangeReading.record(data, [], [], arrival, at: node.range.lowerBound)
  }

  /// A number, or one in the type notation of DynamoDB.
  private static func moment(_ node: JSONNode, _ file: ImportedFile) throws(LineFault) -> WallTime {
    var digits = file.bytes[node.range]
    if node.members != nil { digits = try node.text("N")[...] }
    guard let time = MomentReading.number(digits, unit: .microseconds) else {
      throw LineFault("\(Self.time) must be a number of microseconds since 1970", at: node.range.lowerBound)
    }
    return time
  }
}
