internal import StreamModel
internal import TableChanges

/// `{"Records":[{"eventID":"…","eventName":"INSERT","dynamodb":{…}}],…}`: pages of `aws dynamodbstreams get-records`, one
/// or several behind one another. Nothing in them says of which shard they are.
struct TableRecordsFormat: ImportFormatReading {
  func read(_ source: ImportSource, into sink: inout ImportSink) throws(ImportError) {
    sink.kind = .dynamodb
    try readRecords(of: source, into: &sink, expected: "a JSON object with a list Records") {
      (node, page, sink) throws(ImportError) in
      try sink.take(page, at: node.range.lowerBound) { () throws(LineFault) in
        try ChangeReading.record(node, of: page.bytes)
      }
    }
  }
}

/// Makes the data of a change out of a record of the API or of an event.
enum ChangeReading {
  private static let time = "ApproximateCreationDateTime"

  static func record(_ node: JSONNode, of bytes: [UInt8]) throws(LineFault) -> ImportedRecord {
    guard let members = node.members else { throw LineFault("a record must be an object", at: node.range.lowerBound) }
    let change = try node.member("dynamodb")
    let arrival = try MomentReading.moment(try change.member(time), of: bytes, named: time, unit: .seconds)
    var data: [UInt8] = []
    for (name, member) in members where !member.isNull {
      begin(name, &data)
      switch name {
      case "dynamodb": try append(member, seconds: arrival.milliseconds / 1_000, of: bytes, to: &data)
      case "userIdentity": appendIdentity(member, of: bytes, to: &data)
      default: member.appendCompact(of: bytes, to: &data)
      }
    }
    data.append(UInt8(ascii: "}"))
    let number = try change["SequenceNumber"].map { (_) throws(LineFault) in try change.text("SequenceNumber") } ?? []
    let identity = try node["eventID"].map { (_) throws(LineFault) in try node.text("eventID") } ?? number
    return try self.record(data, number, identity, arrival, at: node.range.lowerBound)
  }

  /// The record of a change, which is checked.
  static func record(
    _ data: [UInt8], _ number: [UInt8], _ identity: [UInt8], _ arrival: WallTime, at place: Int
  ) throws(LineFault) -> ImportedRecord {
    let key: String
    do throws(ChangeProblem) {
      key = unsafe try ChangeRecord.partitionKey(of: data.span.bytes)
    } catch {
      throw LineFault("\(error)", at: place)
    }
    return ImportedRecord(
      sequenceNumber: number, identity: identity, arrival: arrival, key: Array(key.utf8), data: data)
  }

  static func begin(_ name: String, _ data: inout [UInt8]) {
    data.append(data.isEmpty || data.last == UInt8(ascii: "{") ? UInt8(ascii: "{") : UInt8(ascii: ","))
    data += Array("\(JSONLine.quoted(name)):".utf8)
  }

  /// The AWS CLI writes the time as a text or with a fraction; a change has whole seconds.
  private static func append(
    _ change: JSONNode, seconds: Int64, of bytes: [UInt8], to data: inout [UInt8]
  ) throws(LineFault) {
    guard let members = change.members else {
      throw LineFault("dynamodb must be an object", at: change.range.lowerBound)
    }
    var inner: [UInt8] = []
    for (name, member) in members where !member.isNull {
      begin(name, &inner)
      if name == time { inner += Array("\(seconds)".utf8) } else { member.appendCompact(of: bytes, to: &inner) }
    }
    data += inner
    data.append(UInt8(ascii: "}"))
  }

  /// The API writes `PrincipalId` and `Type`, an event small letters.
  private static func appendIdentity(_ identity: JSONNode, of bytes: [UInt8], to data: inout [UInt8]) {
    guard let members = identity.members else { return identity.appendCompact(of: bytes, to: &data) }
    let names = ["PrincipalId": "principalId", "Type": "type"]
    var inner: [UInt8] = []
    for (name, member) in members {
      begin(names[name] ?? name, &inner)
      member.appendCompact(of: bytes, to: &inner)
    }
    data += inner
    data.append(UInt8(ascii: "}"))
  }
}
