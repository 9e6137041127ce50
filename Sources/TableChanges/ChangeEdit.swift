import EventPattern
public import StreamModel

/// A change in place of another one of the same item, as somebody mends it by hand.
extension ChangeRecord {
  /// The data that stands in place of `former`, whose number and arrival are these.
  ///
  /// `text` is the whole change, as it was put or as handlers get it, or the object `dynamodb` of it alone, with any space
  /// between its values. It must be a change (``check(_:)``) with other images: its keys, its kind and what identifies it stay,
  /// and so handlers and those who remember what is done know it as the same one. `SizeBytes` is left out, right, or as it was,
  /// and then it is counted.
  ///
  /// Throws the first rule that it breaks. `former` must be a change.
  public static func edited(
    _ text: RawSpan, inPlaceOf former: RawSpan, _ number: SequenceNumber, arrival: WallTime, of events: ChangeEvents
  ) throws(ChangeProblem) -> [UInt8] {
    do {
      let old = try ChangeLayout(former)
      var data = try isPart(text) ? replacing(former, old[.dynamodb], by: text) : withoutSpace(text)
      var seen: [UInt8] = []
      events.append(former, number, arrival: arrival, to: &seen)
      if let (place, size) = try recounted(data, inPlaceOf: former, old, seen: seen) {
        data.replaceSubrange(place, with: "\(size)".utf8)
      }
      return data
    } catch let problem as ChangeProblem {
      throw problem
    } catch {
      throw ChangeProblem("Data", "not JSON (\(error))", "the data of a change is a JSON object")
    }
  }

  /// Checks the change; gives its size and where that is to stand, if another one is there.
  private static func recounted(
    _ data: [UInt8], inPlaceOf former: RawSpan, _ old: ChangeLayout, seen: [UInt8]
  ) throws -> (place: Range<Int>, size: Int)? {
    let edited = unsafe data.span.bytes
    let told = unsafe seen.span.bytes
    try check(edited)
    let new = try ChangeLayout(edited)
    return try checkEdit(edited, new, former, old, seen: told, ChangeLayout(told)).map { (new[.sizeBytes], $0) }
  }

  /// Whether it is what stands in `dynamodb`.
  private static func isPart(_ text: RawSpan) throws -> Bool {
    var cursor = JSONCursor(text)
    guard try cursor.peek() == JSONByte.openBrace else { return false }
    try cursor.enter()
    var hasMember = try cursor.hasFirst(until: JSONByte.closeBrace)
    while hasMember {
      let name = Excerpt.of(text, try cursor.key().range)
      if name == "dynamodb" || name == "eventName" { return false }
      if name == "Keys" || name == "NewImage" || name == "OldImage" { return true }
      try cursor.skipValue(cursor.peek())
      hasMember = try cursor.hasNext(until: JSONByte.closeBrace)
    }
    return false
  }

  private static func replacing(_ former: RawSpan, _ range: Range<Int>, by text: RawSpan) -> [UInt8] {
    bytes(of: former, 0..<range.lowerBound) + withoutSpace(text)
      + bytes(of: former, range.upperBound..<former.byteCount)
  }

  private static func withoutSpace(_ text: RawSpan) -> [UInt8] {
    var data: [UInt8] = []
    data.append(withoutSpace: bytes(of: text, 0..<text.byteCount))
    return data
  }

  private static func bytes(of text: RawSpan, _ range: Range<Int>) -> [UInt8] {
    range.map { Excerpt.byte(of: text, at: $0) }
  }

  /// Gives the size, if another one stands there that is to be counted.
  private static func checkEdit(
    _ data: RawSpan, _ new: ChangeLayout, _ former: RawSpan, _ old: ChangeLayout, seen: RawSpan,
    _ told: ChangeLayout
  ) throws -> Int? {
    for member in ChangeLayout.Member.allCases where member != .dynamodb {
      try checkStays("\(member)", data, new[member], wasPut: !old[member].isEmpty, seen, told[member])
    }
    let (was, becomes) = (try keyText(former, old), try keyText(data, new))
    guard was == becomes else {
      throw ChangeProblem("dynamodb.Keys", excerpt(becomes), stays(was))
    }
    for part in [ChangeLayout.Part.creation, .sequenceNumber, .viewType] {
      let name = "dynamodb.\(ChangeTexts.name(of: part))"
      try checkStays(name, data, new[part], wasPut: !old[part].isEmpty, seen, told[part])
    }
    let keys = try attributes(of: .keys, data, new)
    var size = try ChangeRecord.size(of: .keys, data, new)
    for part in [ChangeLayout.Part.newImage, .oldImage] where !new[part].isEmpty {
      size += try ChangeRecord.size(of: part, data, new)
      for (name, value) in try attributes(of: part, data, new) {
        guard let key = keys.first(where: { $0.name == name }), key.value != value else { continue }
        throw ChangeProblem(
          "dynamodb.\(ChangeTexts.name(of: part)).\(String(decoding: name, as: UTF8.self))", excerpt(value),
          "it is of the key, which is \(excerpt(key.value)) there")
      }
    }
    guard let given = try ChangeTexts(bytes: data, layout: new).number(.sizeBytes), Int(given) != size else {
      return nil
    }
    guard try given == ChangeTexts(bytes: seen, layout: told).number(.sizeBytes) else {
      throw ChangeProblem("dynamodb.SizeBytes", given, "the change has \(size); left out, it is counted")
    }
    return size
  }

  /// What identifies a change is as handlers got it, or left out if it was left out when it was put.
  private static func checkStays(
    _ name: String, _ data: RawSpan, _ range: Range<Int>, wasPut: Bool, _ seen: RawSpan, _ told: Range<Int>
  ) throws {
    guard !range.isEmpty || wasPut else { return }
    let (was, becomes) = (withoutSpace(seen.extracting(told)), withoutSpace(data.extracting(range)))
    guard was != becomes else { return }
    guard !was.isEmpty else { throw ChangeProblem(name, excerpt(becomes), "an edit adds none") }
    throw ChangeProblem(name, range.isEmpty ? "missing" : excerpt(becomes), stays(was))
  }

  private static func stays(_ text: [UInt8]) -> String { "an edit is of the images, and this stays \(excerpt(text))" }

  private static func excerpt(_ text: [UInt8]) -> String {
    unsafe Excerpt.of(text.span.bytes, 0..<text.count)
  }
}
