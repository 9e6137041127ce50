/// Reads one pattern and collects all that is wrong with it.
struct PatternReader {
  private let pattern: Int
  private let source: FilterSource
  private let limits: FilterLimits
  private var bytes: [UInt8] = []
  private(set) var problems: [PatternProblem] = []
  private(set) var advice: [PatternAdvice] = []

  init(pattern: Int, source: FilterSource, limits: FilterLimits) {
    self.pattern = pattern
    self.source = source
    self.limits = limits
  }

  /// The pattern in `text`. Only worth something if there are no ``problems`` afterwards.
  mutating func read(_ text: String) -> PatternTree {
    bytes = Array(text.utf8)
    let characterCount = text.unicodeScalars.count
    guard characterCount <= limits.patternCharacters else {
      report("$", nil, "a pattern has at most \(limits.patternCharacters) characters; this has \(characterCount)")
      return PatternTree()
    }
    let value: JSONValue
    do {
      value = try JSONValue(text: bytes)
    } catch {
      report("$", nil, "not JSON: \(error)")
      return PatternTree()
    }
    guard let members = value.lastMembers else {
      report("$", value, "Filter is not an object")
      return PatternTree()
    }
    let tree = object(value, members, Place())
    let combinations = Self.combinations(tree, limit: limits.combinations)
    if combinations > limits.combinations {
      report("$", nil, "the $or relationships make more than \(limits.combinations) combinations")
    }
    return tree
  }

  /// Where in the pattern the reader is.
  struct Place {
    /// The names of the field, without `$or`s.
    var names: [[UInt8]] = []
    /// As it is shown.
    var path = "$"
    var isInsideOr = false

    func member(_ key: [UInt8]) -> Place {
      var place = self
      place.path = PatternReader.path(path, key)
      return place
    }

    func element(_ position: Int) -> Place {
      var place = self
      place.path += "[\(position)]"
      return place
    }
  }

  private mutating func object(_ value: JSONValue, _ members: [JSONValue.Member], _ place: Place) -> PatternTree {
    var tree = PatternTree()
    if members.isEmpty { report(place.path, value, "Empty objects are not allowed") }
    for member in members {
      var inner = place.member(member.key)
      if member.key == Self.orKeyword {
        if let choice = choice(member.value, inner) { tree.choices.append(choice) }
        continue
      }
      inner.names += FieldPath.names(in: member.key)
      let key = String(decoding: member.key, as: UTF8.self)
      if place.isInsideOr, Self.reservedNames.contains(key) {
        report(inner.path, nil, "\(key) is Ruler reserved fieldName which cannot be used inside $or.")
      }
      if inner.names.count > limits.nesting {
        report(inner.path, nil, "at most \(limits.nesting) names in one another")
      } else {
        field(key, member.value, inner, into: &tree)
      }
    }
    return tree
  }

  private mutating func field(_ key: String, _ value: JSONValue, _ place: Place, into tree: inout PatternTree) {
    let isPayload = place.names.count == 1 && key == source.payloadField
    if let members = value.lastMembers {
      let inner = object(value, members, place)
      tree.fields += inner.fields
      tree.choices += inner.choices
    } else if isPayload {
      report(place.path, value, "\"\(key)\" must be an object: it is JSON that a record's \(key) is compared with")
    } else if case .array(let elements) = value.content {
      advise(place)
      if elements.isEmpty { report(place.path, value, "Empty arrays are not allowed") }
      var condition = FieldCondition(path: place.names, matchers: [], wishes: [])
      for (position, element) in elements.enumerated() {
        guard let matcher = matcher(element, place.element(position)) else { continue }
        condition.matchers.append(matcher)
        condition.wishes.append(matcher.wish)
      }
      tree.fields.append(condition)
    } else {
      report(place.path, value, "\"\(key)\" must be an object or an array")
    }
  }

  private mutating func choice(_ value: JSONValue, _ place: Place) -> [PatternTree]? {
    guard case .array(let elements) = value.content else {
      report(place.path, value, "It must be an Array followed with $or.")
      return nil
    }
    var alternatives: [PatternTree] = []
    for (position, element) in elements.enumerated() {
      var inner = place.element(position)
      inner.isInsideOr = true
      guard let members = element.lastMembers else {
        report(inner.path, element, "Only JSON object is allowed in array of $or relationship.")
        continue
      }
      alternatives.append(object(element, members, inner))
    }
    if elements.count < 2 {
      report(place.path, value, "There must have at least 2 Objects in $or relationship.")
    }
    return alternatives
  }

  /// What a reader who expects Kinesis or DynamoDB records should know about a field.
  private mutating func advise(_ place: Place) {
    switch source {
    case .kinesis:
      guard place.names.count >= 1, place.names[0] != Array(source.payloadField.utf8) else { return }
      let name = String(decoding: FieldPath.joined(place.names[...]), as: UTF8.self)
      if KinesisField(rawValue: name) == nil {
        advise(place.path, "no Kinesis record has a field \(name); fields of its data are below data")
      }
    case .dynamodb: break
    }
  }

  mutating func advise(_ path: String, _ sentence: String) {
    advice.append(PatternAdvice(pattern: pattern, path: path, sentence: sentence))
  }

  /// The field holds the digits of a DynamoDB number, which are a text.
  func isDynamoDBNumber(_ place: Place) -> Bool {
    source == .dynamodb && place.names.last == [UInt8(ascii: "N")]
  }

  mutating func report(_ path: String, _ value: JSONValue?, _ rule: String) {
    var shown = value.map { String(decoding: bytes[$0.range], as: UTF8.self) } ?? ""
    if shown.count > Self.shownCharacters { shown = shown.prefix(Self.shownCharacters) + "…" }
    problems.append(PatternProblem(pattern: pattern, path: path, value: shown, rule: rule))
  }

  var wildcardStars: Int { limits.wildcardStars }

  /// The ways through the `$or`s of a tree; stops counting above `limit`.
  private static func combinations(_ tree: PatternTree, limit: Int) -> Int {
    var product = 1
    for choice in tree.choices {
      var sum = 0
      for alternative in choice { sum = min(sum + combinations(alternative, limit: limit), limit + 1) }
      product = min(product * max(sum, 1), limit + 1)
    }
    return product
  }

  /// `$.a` and `b` give `$.a.b`; names that are not plain words go into brackets.
  static func path(_ path: String, _ key: [UInt8]) -> String {
    let name = String(decoding: key, as: UTF8.self)
    let isPlain =
      !key.isEmpty
      && key.allSatisfy { byte in
        JSONByte.isDigit(byte) || (byte | 0x20) &- UInt8(ascii: "a") < 26 || byte == UInt8(ascii: "_")
          || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "$")
      }
    return isPlain ? "\(path).\(name)" : "\(path)[\"\(name)\"]"
  }

  private static let orKeyword = Array("$or".utf8)
  private static let shownCharacters = 60

  /// Names that mean something to the engine behind EventBridge, or may one day.
  private static let reservedNames: Set<String> = [
    "exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr", "=",
    "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case", "date-after", "date-on-or-after",
    "date-before", "date-on-or-before", "in-date-range", "ip-address-in-range", "ip-address-not-in-range",
  ]
}
