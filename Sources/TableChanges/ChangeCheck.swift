import EventPattern
import StreamModel

/// One change of an item of a table, as the data of a record: the JSON of a DynamoDB stream record.
///
/// `eventName`, `dynamodb.Keys`, `dynamodb.StreamViewType` and the images that go with the two must be there. What AWS's
/// service adds to a change (`eventID`, `eventVersion`, `eventSource`, `awsRegion`, `eventSourceARN`, and in `dynamodb`
/// `ApproximateCreationDateTime`, `SequenceNumber`, `SizeBytes`) may be; a handler gets what stands there, and for the
/// rest what ``ChangeEvents`` puts in its place.
public enum ChangeRecord {
  /// Throws the first rule that `data` breaks.
  public static func check(_ data: RawSpan) throws(ChangeProblem) {
    do {
      try checkAll(data)
    } catch let problem as ChangeProblem {
      throw problem.field.isEmpty ? problem.inside("Data") : problem
    } catch {
      throw ChangeProblem("Data", "not JSON (\(error))", "the data of a change is a JSON object")
    }
  }

  private static let eventNames = ["INSERT", "MODIFY", "REMOVE"]
  private static let viewTypes = ["NEW_AND_OLD_IMAGES", "NEW_IMAGE", "OLD_IMAGE", "KEYS_ONLY"]
  private static let eventVersions = ["1.1", "1.0"]

  private static func checkAll(_ data: RawSpan) throws {
    let layout = try ChangeLayout(data)
    let reader = ChangeTexts(bytes: data, layout: layout)
    let event = try reader.word(.eventName, of: eventNames)
    _ = try reader.optionalWord(.eventSource, of: ["aws:dynamodb"])
    _ = try reader.optionalWord(.eventVersion, of: eventVersions)
    if let id = try reader.text(.eventID), id.count != 32 || !id.allSatisfy(isLowerHexadecimal) {
      throw ChangeProblem("eventID", String(decoding: id, as: UTF8.self), "it has 32 lower-case hexadecimal digits")
    }
    for member in [ChangeLayout.Member.awsRegion, .eventSourceARN] {
      if let text = try reader.text(member), text.isEmpty {
        throw ChangeProblem("\(member)", "empty", "it is left out, or says something")
      }
    }
    if !layout[.userIdentity].isEmpty { try checkIdentity(data, layout[.userIdentity], event) }
    guard !layout[.dynamodb].isEmpty else { throw ChangeProblem("dynamodb", "missing", "it holds the change") }
    guard Excerpt.byte(of: data, at: layout[.dynamodb].lowerBound) == JSONByte.openBrace else {
      throw ChangeProblem("dynamodb", Excerpt.of(data, layout[.dynamodb]), "it is an object")
    }
    do {
      try checkParts(reader, event)
    } catch let problem as ChangeProblem {
      throw problem.inside("dynamodb")
    }
  }

  private static func checkParts(_ reader: borrowing ChangeTexts, _ event: String) throws {
    let (data, layout) = (reader.bytes, reader.layout)
    guard !layout[.keys].isEmpty else { throw ChangeProblem("Keys", "missing", "they name the item") }
    _ = try size(of: .keys, data, layout)
    let view = try reader.word(.viewType, of: viewTypes)
    // Which images a change has: AWS's table of view types.
    let wantsNew = event != "REMOVE" && (view == "NEW_IMAGE" || view == "NEW_AND_OLD_IMAGES")
    let wantsOld = event != "INSERT" && (view == "OLD_IMAGE" || view == "NEW_AND_OLD_IMAGES")
    for (part, isWanted) in [(ChangeLayout.Part.newImage, wantsNew), (.oldImage, wantsOld)] {
      let name = ChangeTexts.name(of: part)
      guard layout[part].isEmpty != isWanted else {
        let rule = "\(event) with StreamViewType \(view) has \(isWanted ? "one" : "none")"
        throw ChangeProblem(name, isWanted ? "missing" : "there", rule)
      }
      if isWanted { _ = try size(of: part, data, layout) }
    }
    if let number = try reader.text(.sequenceNumber), !(21...40).contains(number.count) || !number.allSatisfy(isDigit) {
      throw ChangeProblem("SequenceNumber", String(decoding: number, as: UTF8.self), "it has 21 to 40 digits")
    }
    if let size = try reader.number(.sizeBytes), Int(size).map({ $0 < 1 }) ?? true {
      throw ChangeProblem("SizeBytes", size, "it is a whole number of bytes, 1 or more")
    }
    if let time = try reader.number(.creation) {
      guard let seconds = Double(time), seconds >= 0, seconds < 100_000_000_000, seconds.rounded(.down) == seconds
      else {
        throw ChangeProblem("ApproximateCreationDateTime", time, "it is whole seconds since 1970")
      }
    }
  }

  /// The size of keys or of an image, which is checked.
  static func size(of part: ChangeLayout.Part, _ data: RawSpan, _ layout: ChangeLayout) throws -> Int {
    var cursor = JSONCursor(data.extracting(layout[part]))
    do {
      return try AttributeReading.passItem(&cursor, isKey: part == .keys)
    } catch let problem as ChangeProblem {
      throw problem.inside(ChangeTexts.name(of: part))
    }
  }

  /// `{"type":"Service","principalId":"dynamodb.amazonaws.com"}`: the service has deleted the item, because its time was
  /// over.
  private static func checkIdentity(_ data: RawSpan, _ range: Range<Int>, _ event: String) throws {
    let rule = "it is an object with the texts type and principalId"
    var cursor = JSONCursor(data.extracting(range))
    guard try cursor.peek() == JSONByte.openBrace else {
      throw ChangeProblem("userIdentity", Excerpt.of(data, range), rule)
    }
    guard event == "REMOVE" else { throw ChangeProblem("userIdentity", "there", "only a REMOVE has one") }
    try cursor.enter()
    var names: [String] = []
    var hasMember = try cursor.hasFirst(until: JSONByte.closeBrace)
    while hasMember {
      names.append(Excerpt.of(cursor.bytes, try cursor.key().range))
      guard try cursor.peek() == JSONByte.quote else {
        throw ChangeProblem("userIdentity", Excerpt.of(data, range), rule)
      }
      _ = try cursor.string()
      hasMember = try cursor.hasNext(until: JSONByte.closeBrace)
    }
    guard names.sorted() == ["principalId", "type"] else {
      throw ChangeProblem("userIdentity", Excerpt.of(data, range), rule)
    }
  }

  static func isDigit(_ byte: UInt8) -> Bool { JSONByte.isDigit(byte) }

  private static func isLowerHexadecimal(_ byte: UInt8) -> Bool {
    isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
  }
}

/// Texts and numbers among the members of a change.
struct ChangeTexts: ~Escapable {
  let bytes: RawSpan
  let layout: ChangeLayout

  @_lifetime(copy bytes)
  init(bytes: RawSpan, layout: ChangeLayout) {
    self.bytes = bytes
    self.layout = layout
  }

  static func name(of part: ChangeLayout.Part) -> String {
    String(decoding: ChangeLayout.parts[part.rawValue], as: UTF8.self)
  }

  func word(_ member: ChangeLayout.Member, of words: [String]) throws -> String {
    try word("\(member)", layout[member], of: words)
  }

  func word(_ part: ChangeLayout.Part, of words: [String]) throws -> String {
    try word(Self.name(of: part), layout[part], of: words)
  }

  func optionalWord(_ member: ChangeLayout.Member, of words: [String]) throws -> String? {
    layout[member].isEmpty ? nil : try word(member, of: words)
  }

  /// `nil` if it is not there.
  func text(_ member: ChangeLayout.Member) throws -> [UInt8]? { try text("\(member)", layout[member]) }

  func text(_ part: ChangeLayout.Part) throws -> [UInt8]? { try text(Self.name(of: part), layout[part]) }

  /// A number as it is written; `nil` if it is not there.
  func number(_ part: ChangeLayout.Part) throws -> String? {
    let range = layout[part]
    guard !range.isEmpty else { return nil }
    let first = Excerpt.byte(of: bytes, at: range.lowerBound)
    guard first == JSONByte.minus || JSONByte.isDigit(first) else {
      throw ChangeProblem(Self.name(of: part), Excerpt.of(bytes, range), "it is a number")
    }
    return Excerpt.of(bytes, range)
  }

  private func word(_ name: String, _ range: Range<Int>, of words: [String]) throws -> String {
    let rule = words.count == 1 ? "it is \(words[0])" : "it is one of \(words.joined(separator: ", "))"
    guard let text = try text(name, range) else { throw ChangeProblem(name, "missing", rule) }
    let word = String(decoding: text, as: UTF8.self)
    guard words.contains(word) else { throw ChangeProblem(name, Excerpt.of(bytes, range), rule) }
    return word
  }

  private func text(_ name: String, _ range: Range<Int>) throws -> [UInt8]? {
    guard !range.isEmpty else { return nil }
    guard Excerpt.byte(of: bytes, at: range.lowerBound) == JSONByte.quote else {
      throw ChangeProblem(name, Excerpt.of(bytes, range), "it is a text")
    }
    let inside = range.dropFirst().dropLast()
    let text = inside.map { Excerpt.byte(of: bytes, at: $0) }
    guard !text.contains(JSONByte.backslash) else {
      throw ChangeProblem(name, Excerpt.of(bytes, range), "it is written without escapes")
    }
    return text
  }
}
