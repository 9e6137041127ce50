public import StreamModel

/// Where a failure document lies in a bucket, or below a directory:
/// `aws/lambda/<mapping id>/<shard id>/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-<document id>`, in UTC.
///
/// Lambda draws the last part at random. Ours is a name of the failure entry: a document that is delivered a second time,
/// after a crash, lands where it lay.
public struct ObjectKey: Hashable, Sendable, CustomStringConvertible {
  public var mappingID: String
  public var shardID: String
  public var timestamp: WallTime
  public var documentID: String

  public init(mappingID: String, shardID: String, timestamp: WallTime, documentID: String) {
    self.mappingID = mappingID
    self.shardID = shardID
    self.timestamp = timestamp
    self.documentID = documentID
  }

  /// The parts between the slashes.
  public var components: [String] {
    let time = CalendarTime(timestamp)
    return ["aws", "lambda", mappingID, shardID] + time.datePath.split(separator: "/").map(String.init)
      + ["\(time.date)T\(time.time(separator: "."))-\(documentID)"]
  }

  public var description: String { components.joined(separator: "/") }
}
