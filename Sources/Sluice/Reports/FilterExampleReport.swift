import StreamModel
import StreamRuntime

/// A record about which the filter of its mapping could not say whether its patterns match.
public struct FilterExampleReport: Codable, Hashable, Sendable {
  public var sequenceNumber: String
  public var shard: String
  /// Invalid UTF-8 is shown as `�`.
  public var partitionKey: String
  /// Milliseconds since 1970.
  public var arrival: Int64
  /// The first bytes of its data, if they are readable text; `nil` for binary.
  public var preview: String?
  /// The same in hexadecimal.
  public var previewHexadecimal: String
  public var dataBytes: Int
  /// Why the filter could not be tried.
  public var reason: String
  /// It was let through, and may have been delivered; otherwise it was held back.
  public var isLetThrough: Bool

  init(_ example: FilterExample, isLetThrough: Bool) {
    sequenceNumber = example.sequenceNumber.description
    shard = example.sequenceNumber.shard.description
    partitionKey = example.partitionKey
    arrival = example.arrival.milliseconds
    preview = LaneSummary.preview(ofBeginning: example.data, isWhole: example.data.count == example.dataByteCount)
    previewHexadecimal = example.data.map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
    dataBytes = example.dataByteCount
    reason = example.reason
    self.isLetThrough = isLetThrough
  }
}

extension FilterExamples {
  /// Those of one shard, or all.
  func reports(of shard: ShardNumber?) -> [FilterExampleReport] {
    (notJSON.map { FilterExampleReport($0, isLetThrough: false) }
      + undecided.map { FilterExampleReport($0, isLetThrough: true) })
      .filter { shard == nil || $0.shard == shard?.description }
  }
}
