public import StreamModel

/// Tries the patterns of an ``EventFilter`` on one record after another.
///
/// Holds the memory that matching needs, so that a record costs no allocation. It is a value for one lane or task; a
/// copy of it starts with what the original has learnt, which is nothing about any record.
///
/// A record's data is read once, from front to back: what no pattern asks for is passed over, but all of it must be
/// JSON for any of it to count. Of repeated keys the last one counts.
public struct EventMatcher: Sendable {
  /// Ways in which a record's arrays combine: more are not tried. See ``FilterVerdict/tooManyCombinations``.
  public static let combinationLimit = 256

  public let filter: EventFilter

  private var findings: Findings
  /// Which conditions the constants of the stream meet, and which have a constant for their field.
  private var constantsMeet: [UInt64] = []
  private var constantsSeen: [UInt64]

  /// For each edge the last object in which its key was met, by number; tells repeated keys.
  private var lastObjects: [UInt64]
  private var objectCount: UInt64 = 0
  /// A key was met twice: read the record again with ``isLookingAhead``.
  private var hasRepeatedKey = false
  /// Before an object is read, find where each key is met last. Costs a second pass over each object that patterns
  /// enter, so it waits until a record needs it.
  private var isLookingAhead = false
  /// For each edge, where its key stands last in the object that is being read.
  private var lastPlaces: [Int]

  /// A decoded key or text.
  private var decoded: [UInt8] = []
  private var value = FieldValue()

  /// - Parameter constants: what all records of the stream have in common; of no matter for DynamoDB.
  public init(_ filter: EventFilter, constants: KinesisConstants = KinesisConstants()) {
    self.filter = filter
    findings = Findings(wordCount: filter.wordCount, limit: Self.combinationLimit)
    lastObjects = [UInt64](repeating: 0, count: filter.map.edges.count)
    lastPlaces = [Int](repeating: 0, count: filter.map.edges.count)
    for asked in filter.recordFields {
      guard !asked.field.isOfRecord, let text = constants.values[asked.field] else { continue }
      value.clear()
      value.append(text)
      findings.test(value, at: asked.node, of: filter)
    }
    constantsMeet = (0..<filter.wordCount).map { [findings] in findings.sets.word($0, ofSet: 0) }
    constantsSeen = findings.seen
  }

  /// Whether a record of a store passes the filter.
  public mutating func verdict(on record: borrowing RecordView) -> FilterVerdict { judge(record) }

  /// Whether any other record does.
  public mutating func verdict<Record: FilterableRecord & ~Escapable>(on record: borrowing Record) -> FilterVerdict {
    judge(record)
  }

  @inline(__always)
  private mutating func judge<Record: FilterableRecord & ~Escapable>(_ record: borrowing Record) -> FilterVerdict {
    guard !filter.patterns.isEmpty else { return .matched(pattern: nil) }
    readFields(of: record)
    guard let bodyNode = filter.bodyNode else { return conclusion(.read) }
    if !filter.recordFields.isEmpty, let verdict = verdictWithoutBody() { return verdict }
    do {
      hasRepeatedKey = false
      try readBody(record.body, at: bodyNode)
      if hasRepeatedKey {
        readFields(of: record)
        isLookingAhead = true
        defer { isLookingAhead = false }
        try readBody(record.body, at: bodyNode)
      }
      return conclusion(.read)
    } catch {
      readFields(of: record)
      let verdict = conclusion(.notRead)
      return verdict == .notMatched ? .notJSON(error) : verdict
    }
  }

  // MARK: The record's own fields

  private mutating func readFields<Record: FilterableRecord & ~Escapable>(of record: borrowing Record) {
    findings.sets.restart(constantsMeet)
    for word in 0..<filter.wordCount { findings.seen[word] = constantsSeen[word] }
    for position in 0..<filter.recordFields.count where filter.recordFields[position].field.isOfRecord {
      value.clear()
      record.write(filter.recordFields[position].field, to: &value)
      findings.test(value, at: filter.recordFields[position].node, of: filter)
    }
  }

  // MARK: The body

  private mutating func readBody(_ bytes: RawSpan, at node: Int) throws(JSONFault) {
    var cursor = JSONCursor(bytes)
    let first = try cursor.peek()
    // Only objects have fields: an array or a single value as the whole data is JSON in which every field is missing.
    if first == JSONByte.openBrace {
      try readObject(at: node, family: 0, &cursor)
    } else {
      try cursor.skipValue(first)
    }
    try cursor.expectEnd()
  }

  private mutating func readObject(at node: Int, family: Int, _ cursor: inout JSONCursor) throws(JSONFault) {
    objectCount &+= 1
    let object = objectCount
    if isLookingAhead {
      var ahead = cursor
      try lookAhead(at: node, &ahead)
    }
    let keyLengths = filter.map.nodes[node].keyLengths
    try cursor.enter()
    var hasMember = try cursor.hasFirst(until: JSONByte.closeBrace)
    while hasMember {
      let key = try cursor.key()
      let first = try cursor.peek()
      // Most keys are not asked for, and most of those have a length that none has that is.
      if FieldMap.mayHold(keyLengths, key), let edge = edge(from: node, key, cursor.bytes),
        counts(edge, key, in: object)
      {
        try readValue(first, at: filter.map.edges[edge].target, family: family, &cursor)
      } else {
        try cursor.skipValue(first)
      }
      hasMember = try cursor.hasNext(until: JSONByte.closeBrace)
    }
  }

  /// Whether the value behind `key` is the one that counts in its object, as far as that is known.
  @inline(__always)
  private mutating func counts(_ edge: Int, _ key: JSONString, in object: UInt64) -> Bool {
    if isLookingAhead { return lastPlaces[edge] == key.start }
    if lastObjects[edge] == object { hasRepeatedKey = true }
    lastObjects[edge] = object
    return true
  }

  /// Finds where each key that leads on from `node` stands last in the object at `cursor`.
  private mutating func lookAhead(at node: Int, _ cursor: inout JSONCursor) throws(JSONFault) {
    try cursor.enter()
    var hasMember = try cursor.hasFirst(until: JSONByte.closeBrace)
    while hasMember {
      let key = try cursor.key()
      if let edge = edge(from: node, key, cursor.bytes) { lastPlaces[edge] = key.start }
      try cursor.skipValue(try cursor.peek())
      hasMember = try cursor.hasNext(until: JSONByte.closeBrace)
    }
  }

  private mutating func edge(from node: Int, _ key: JSONString, _ bytes: RawSpan) -> Int? {
    guard key.hasEscapes else { return filter.map.edge(from: node, key: key.range, in: bytes) }
    JSONUnescaping.decode(key, in: bytes, into: &decoded)
    return unsafe filter.map.edge(from: node, key: 0..<decoded.count, in: decoded.span.bytes)
  }

  @inline(__always)
  private mutating func readValue(
    _ first: UInt8, at node: Int, family: Int, _ cursor: inout JSONCursor
  ) throws(JSONFault) {
    if first == JSONByte.openBrace {
      if filter.map.nodes[node].hasEdges {
        try readObject(at: node, family: family, &cursor)
      } else {
        try cursor.skipValue(first)
      }
    } else if first == JSONByte.openBracket {
      try readArray(at: node, family: family, &cursor)
    } else {
      try readScalar(first, at: node, from: family, to: findings.sets.top, &cursor)
    }
  }

  /// Objects and arrays in an array are alternatives; its other values count all together.
  private mutating func readArray(at node: Int, family: Int, _ cursor: inout JSONCursor) throws(JSONFault) {
    let scalars = findings.sets.beginFamily()
    let alternatives = findings.sets.top
    let hasEdges = filter.map.nodes[node].hasEdges
    try cursor.enter()
    var hasElement = try cursor.hasFirst(until: JSONByte.closeBracket)
    while hasElement {
      let first = try cursor.peek()
      if first == JSONByte.openBracket || first == JSONByte.openBrace && hasEdges {
        let element = findings.sets.beginFamily()
        if first == JSONByte.openBracket {
          try readArray(at: node, family: element, &cursor)
        } else {
          try readObject(at: node, family: element, &cursor)
        }
        findings.sets.unite(family: alternatives, element: element)
      } else if first == JSONByte.openBrace {
        try cursor.skipValue(first)
      } else {
        try readScalar(first, at: node, from: scalars, to: alternatives, &cursor)
      }
      hasElement = try cursor.hasNext(until: JSONByte.closeBracket)
    }
    if findings.sets.top > alternatives {
      findings.sets.insert(set: scalars, inFamily: alternatives)
      findings.sets.remove(set: scalars)
    }
    findings.sets.multiply(family: family, by: scalars)
  }

  @inline(__always)
  private mutating func readScalar(
    _ first: UInt8, at node: Int, from start: Int, to end: Int, _ cursor: inout JSONCursor
  ) throws(JSONFault) {
    guard !filter.map.nodes[node].conditions.isEmpty else { return try cursor.skipScalar(first) }
    if first == JSONByte.quote {
      let string = try cursor.string()
      if string.hasEscapes {
        JSONUnescaping.decode(string, in: cursor.bytes, into: &decoded)
        findings.test(decoded: decoded, at: node, of: filter, from: start, to: end)
      } else {
        findings.test(cursor.bytes.extracting(string.range), at: node, of: filter, from: start, to: end)
      }
    } else if first == JSONByte.minus || JSONByte.isDigit(first) {
      let range = try cursor.number()
      findings.test(number: cursor.bytes.extracting(range), at: node, of: filter, from: start, to: end)
    } else {
      findings.test(try cursor.word(first), at: node, of: filter, from: start, to: end)
    }
  }

  // MARK: The verdict

  /// What a conclusion may rest on.
  private enum Body {
    /// The body was read: a field that was not met in it is missing.
    case read
    /// The body was not read, or is not JSON: no condition on it is met, not even that a field is missing.
    case notRead
    /// The body was not read: every condition on it may be met.
    case unknown
  }

  @inline(__always)
  private func met(_ word: Int, set: Int, _ body: Body) -> UInt64 {
    let missing = filter.acceptsAbsence[word] & ~findings.seen[word]
    let values = findings.sets.word(word, ofSet: set)
    switch body {
    case .read: return values | missing
    case .notRead: return (values | missing) & ~filter.bodyConditions[word]
    case .unknown: return values | missing | filter.bodyConditions[word]
    }
  }

  @inline(__always)
  private func holds(_ pattern: Int, _ body: Body) -> Bool {
    for set in stride(from: 0, to: findings.sets.top, by: findings.sets.width)
    where filter.formulas[pattern].holds({ met($0, set: set, body) }) {
      return true
    }
    return false
  }

  private func conclusion(_ body: Body) -> FilterVerdict {
    for pattern in filter.formulas.indices where holds(pattern, body) { return .matched(pattern: pattern) }
    return findings.sets.hasForgotten ? .tooManyCombinations : .notMatched
  }

  /// The verdict, if the record's own fields settle it.
  private func verdictWithoutBody() -> FilterVerdict? {
    for pattern in filter.formulas.indices where holds(pattern, .unknown) {
      return holds(pattern, .notRead) ? .matched(pattern: pattern) : nil
    }
    return .notMatched
  }
}
