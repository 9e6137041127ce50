public import StreamModel

/// What had become of records of one shard when their recording was made, as far as the store knew.
public struct RecordedOutcome: Hashable, Sendable {
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    /// The checkpoint was behind them, and no failure entry held them.
    case passed
    /// A failure entry held them.
    case failed
    /// They were in a batch under retry.
    case retrying
    /// They had not been delivered, or waited behind others.
    case waiting
  }

  public var kind: Kind
  public var shard: ShardNumber
  /// In their order, without overlaps.
  public var records: [RecordRange]
  /// Of records that had failed.
  public var failure: RecordedFailure?

  /// One line holds so many stretches of records at most.
  public static let rangeLimit = 1_000

  public init(_ kind: Kind, of shard: ShardNumber, records: [RecordRange], failure: RecordedFailure? = nil) {
    self.kind = kind
    self.shard = shard
    self.records = records
    self.failure = failure
  }
}

/// How records had failed.
public struct RecordedFailure: Hashable, Sendable {
  /// The failure entry, and why they left their shard; `nil` of what was under retry.
  public var entry: UInt64?
  public var condition: String?
  /// When they left; of what was under retry when the next delivery was due.
  public var at: WallTime
  /// Deliveries that used up an attempt.
  public var attempts: Int
  /// How often the entry had been delivered again without success.
  public var redrives = 0
  /// The deliveries that failed and are known, oldest first, and how many more there were.
  public var deliveries: [RecordedDelivery] = []
  public var omittedDeliveries = 0

  public init(at moment: WallTime, attempts: Int) {
    at = moment
    self.attempts = attempts
  }
}

/// A delivery that failed.
public struct RecordedDelivery: Hashable, Sendable {
  public var begunAt: WallTime
  public var milliseconds: Int64
  /// `error`, `timeout`, and so on.
  public var kind: String
  public var type: String
  public var message: String
  public var requestID: String
  /// The first and the last record of the batch, and how many it had; `nil` where the store does not know.
  public var batch: Batch?

  public struct Batch: Hashable, Sendable {
    public var first: RecordIndex
    public var last: RecordIndex
    public var count: Int

    public init(first: RecordIndex, last: RecordIndex, count: Int) {
      self.first = first
      self.last = last
      self.count = count
    }
  }

  public init(
    begunAt: WallTime, milliseconds: Int64, kind: String, type: String, message: String, requestID: String,
    batch: Batch? = nil
  ) {
    self.begunAt = begunAt
    self.milliseconds = milliseconds
    self.kind = kind
    self.type = type
    self.message = message
    self.requestID = requestID
    self.batch = batch
  }

  /// What stands for a message where fields were taken out of payloads: it may hold their values.
  public static let redactedMessage = "[redacted]"
}

/// Where a lane of the mapping stood: every record of it before `next` was settled.
public struct RecordedCheckpoint: Hashable, Sendable {
  public var next: RecordIndex
  public var shard: ShardNumber
  public var lane: Int

  public init(next: RecordIndex, shard: ShardNumber, lane: Int) {
    self.next = next
    self.shard = shard
    self.lane = lane
  }
}

// MARK: As lines

extension RecordedOutcome {
  /// Without the closing brace. `isRedacted`: messages are left out.
  func line(isRedacted: Bool) -> String {
    let stretches = records.map { "[\($0.first.rawValue),\($0.last.rawValue)]" }.joined(separator: ",")
    var text = #"{"outcome":"\#(kind.rawValue)","shard":\#(shard.rawValue),"records":[\#(stretches)]"#
    guard let failure else { return text }
    if let entry = failure.entry { text += #","entry":\#(entry)"# }
    if let condition = failure.condition { text += #","condition":\#(JSONLine.quoted(condition))"# }
    text += #","at":\#(failure.at.milliseconds),"attempts":\#(failure.attempts),"redrives":\#(failure.redrives)"#
    let deliveries = failure.deliveries.map { $0.text(isRedacted: isRedacted) }.joined(separator: ",")
    text += #","omittedDeliveries":\#(failure.omittedDeliveries),"failedDeliveries":[\#(deliveries)]"#
    return text
  }

  init(_ node: JSONNode, in bytes: RawSpan) throws(LineFault) {
    let name = String(decoding: try node.text("outcome"), as: UTF8.self)
    guard let kind = Kind(rawValue: name) else {
      let all = Kind.allCases.map(\.rawValue).joined(separator: ", ")
      throw LineFault("outcome is \(JSONLine.quoted(name)): allowed are \(all)", at: node.range.lowerBound)
    }
    let shard = ShardNumber(UInt32(try node.number("shard", in: LineMembers.shards, bytes)))
    var records: [RecordRange] = []
    for stretch in try node.member("records").elements ?? [] {
      let range = try RecordRange(stretch, in: bytes)
      guard records.last.map({ $0.end <= range.first }) ?? true else {
        throw LineFault("records must stand in their order, each once", at: stretch.range.lowerBound)
      }
      records.append(range)
    }
    self.init(kind, of: shard, records: records)
    let mustHaveFailed = kind == .failed || kind == .retrying
    guard mustHaveFailed == (node["attempts"] != nil) else {
      throw LineFault("\(name) has \(mustHaveFailed ? "no attempts" : "attempts")", at: node.range.lowerBound)
    }
    if mustHaveFailed { failure = try RecordedFailure(node, in: bytes) }
    guard kind != .failed || failure?.condition != nil else {
      throw LineFault("condition is missing", at: node.range.lowerBound)
    }
  }
}

extension RecordRange {
  fileprivate init(_ node: JSONNode, in bytes: RawSpan) throws(LineFault) {
    guard let ends = node.elements, ends.count == 2,
      let first = ends[0].wholeNumber(bytes), let last = ends[1].wholeNumber(bytes), first >= 0, last >= first
    else {
      throw LineFault("records must be lists of the first and the last index", at: node.range.lowerBound)
    }
    self.init(first: RecordIndex(UInt64(first)), count: UInt64(last - first) + 1)
  }
}

extension RecordedFailure {
  fileprivate init(_ node: JSONNode, in bytes: RawSpan) throws(LineFault) {
    self.init(
      at: WallTime(milliseconds: try node.number("at", in: .min ... .max, bytes)),
      attempts: Int(try node.number("attempts", in: LineMembers.indexes, bytes)))
    if node["entry"] != nil { entry = UInt64(try node.number("entry", in: LineMembers.indexes, bytes)) }
    if node["condition"] != nil { condition = String(decoding: try node.text("condition"), as: UTF8.self) }
    redrives = Int(try node.number("redrives", in: LineMembers.indexes, bytes))
    omittedDeliveries = Int(try node.number("omittedDeliveries", in: LineMembers.indexes, bytes))
    for delivery in try node.member("failedDeliveries").elements ?? [] {
      deliveries.append(try RecordedDelivery(delivery, in: bytes))
    }
  }
}

extension RecordedDelivery {
  fileprivate func text(isRedacted: Bool) -> String {
    var text = #"{"begunAt":\#(begunAt.milliseconds),"milliseconds":\#(milliseconds),"kind":\#(JSONLine.quoted(kind))"#
    text += #","type":\#(JSONLine.quoted(type))"#
    text += #","message":\#(JSONLine.quoted(isRedacted ? Self.redactedMessage : message))"#
    text += #","requestID":\#(JSONLine.quoted(requestID))"#
    if let batch {
      text += #","first":\#(batch.first.rawValue),"last":\#(batch.last.rawValue),"count":\#(batch.count)"#
    }
    return text + "}"
  }

  fileprivate init(_ node: JSONNode, in bytes: RawSpan) throws(LineFault) {
    func string(_ name: String) throws(LineFault) -> String { String(decoding: try node.text(name), as: UTF8.self) }
    self.init(
      begunAt: WallTime(milliseconds: try node.number("begunAt", in: .min ... .max, bytes)),
      milliseconds: try node.number("milliseconds", in: .min ... .max, bytes), kind: try string("kind"),
      type: try string("type"), message: try string("message"), requestID: try string("requestID"))
    guard node["first"] != nil else { return }
    batch = Batch(
      first: RecordIndex(UInt64(try node.number("first", in: LineMembers.indexes, bytes))),
      last: RecordIndex(UInt64(try node.number("last", in: LineMembers.indexes, bytes))),
      count: Int(try node.number("count", in: LineMembers.indexes, bytes)))
  }
}

extension RecordedCheckpoint {
  var line: String { #"{"checkpoint":\#(next.rawValue),"shard":\#(shard.rawValue),"lane":\#(lane)"# }
}

extension JSONNode {
  /// `nil` if it is none within 64 bits.
  fileprivate func wholeNumber(_ bytes: RawSpan) -> Int64? {
    guard case .number = value else { return nil }
    let digits = range.map { unsafe bytes.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
    return Int64(String(decoding: digits, as: UTF8.self))
  }

  fileprivate func number(
    _ name: String, in allowed: ClosedRange<Int64>, _ bytes: RawSpan
  ) throws(LineFault) -> Int64 {
    let node = try member(name)
    guard let number = node.wholeNumber(bytes) else {
      throw LineFault("\(name) must be a whole number", at: node.range.lowerBound)
    }
    guard allowed.contains(number) else {
      throw LineFault(
        "\(name) is \(number): allowed are \(allowed.lowerBound) to \(allowed.upperBound)", at: node.range.lowerBound)
    }
    return number
  }
}
