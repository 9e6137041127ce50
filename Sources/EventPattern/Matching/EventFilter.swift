/// The filter patterns of one mapping, compiled: a record passes if any of them matches it.
///
///     let filter = try EventFilter([#"{"data":{"carrier":["UA"]}}"#], source: .kinesis)
///     var matcher = EventMatcher(filter)
///     matcher.verdict(on: record)
///
/// Immutable. The memory that matching needs is in an ``EventMatcher``; have one for each lane.
public struct EventFilter: Sendable {
  public let patterns: [String]
  public let source: FilterSource
  /// What is allowed in these patterns but probably not meant.
  public let advice: [PatternAdvice]

  let trees: [PatternTree]
  /// All conditions of all patterns, those of one field side by side.
  let conditions: [FieldCondition]
  /// The matchers of all conditions, one condition's after the other's, and where each condition has its own. Side by
  /// side, and away from what only explanations need, so that a value is tried without counting references.
  let matchers: [ValueMatcher]
  let matcherRanges: [Range<Int>]
  let formulas: [PatternFormula]
  let map: FieldMap
  /// 64 conditions to the word.
  let wordCount: Int
  /// The node whose object is the record's data; `nil` if no pattern asks for any of it.
  let bodyNode: Int?
  /// Conditions on the body, a bit for each; those on the record's own fields have none.
  let bodyConditions: [UInt64]
  /// Conditions that a missing field meets.
  let acceptsAbsence: [UInt64]
  /// The fields of a Kinesis record that patterns ask for.
  let recordFields: [AskedField]

  struct AskedField: Sendable {
    var field: KinesisField
    var node: Int
  }

  /// Compiles `patterns`, of which none means that every record passes.
  /// - Throws: all that is wrong with all of them.
  public init(
    _ patterns: [String], source: FilterSource, limits: FilterLimits = FilterLimits()
  ) throws(PatternError) {
    var problems: [PatternProblem] = []
    var advice: [PatternAdvice] = []
    if patterns.count > limits.patterns {
      problems.append(
        PatternProblem(
          pattern: nil, path: "", value: "\(patterns.count)", rule: "at most \(limits.patterns) filters of a mapping"))
    }
    var trees: [PatternTree] = []
    for (number, text) in patterns.enumerated() {
      var reader = PatternReader(pattern: number, source: source, limits: limits)
      trees.append(reader.read(text))
      problems += reader.problems
      advice += reader.advice
    }
    guard problems.isEmpty else { throw PatternError(problems: problems) }
    self.init(patterns, trees, source, advice)
  }

  init(_ patterns: [String], _ trees: [PatternTree], _ source: FilterSource, _ advice: [PatternAdvice]) {
    self.patterns = patterns
    self.trees = trees
    self.source = source
    self.advice = advice
    var collected: [FieldCondition] = []
    for tree in trees { Self.collect(tree, into: &collected) }
    var order: [Int] = []
    let map = FieldMap(collected, order: &order)
    var sorted = collected
    for (old, new) in order.enumerated() { sorted[new] = collected[old] }
    let wordCount = max((sorted.count + 63) / 64, 1)
    var next = 0
    let formulas = trees.map { Self.formula($0, order, &next, wordCount) }
    let payload = Array(source.payloadField.utf8)
    let isOfBody: (FieldCondition) -> Bool = { source == .dynamodb || $0.path[0] == payload }
    let bodyNumbers = sorted.indices.filter { isOfBody(sorted[$0]) }
    bodyNode = bodyNumbers.isEmpty ? nil : source == .dynamodb ? FieldMap.root : map.node(source.payloadField)
    bodyConditions = Self.bits(bodyNumbers, wordCount)
    acceptsAbsence = Self.bits(sorted.indices.filter { sorted[$0].acceptsAbsence }, wordCount)
    let fields: [KinesisField] = source == .kinesis ? KinesisField.allCases : []
    recordFields = fields.compactMap { field in
      map.node(field.rawValue).map { AskedField(field: field, node: $0) }
    }
    conditions = sorted
    matchers = sorted.flatMap(\.matchers)
    var end = 0
    matcherRanges = sorted.map { condition in
      defer { end += condition.matchers.count }
      return end..<(end + condition.matchers.count)
    }
    self.formulas = formulas
    self.map = map
    self.wordCount = wordCount
  }

  @inline(__always)
  func accepts(_ condition: Int, text: RawSpan) -> Bool {
    for matcher in matcherRanges[condition] where matchers[matcher].accepts(text: text) { return true }
    return false
  }

  @inline(__always)
  func accepts(_ condition: Int, number: DecimalNumber, literal: RawSpan) -> Bool {
    for matcher in matcherRanges[condition] where matchers[matcher].accepts(number: number, literal: literal) {
      return true
    }
    return false
  }

  @inline(__always)
  func accepts(_ condition: Int, word: JSONWord) -> Bool {
    for matcher in matcherRanges[condition] where matchers[matcher].accepts(word: word) { return true }
    return false
  }

  /// The conditions in the order in which ``formula(_:_:_:_:)`` meets them again.
  private static func collect(_ tree: PatternTree, into conditions: inout [FieldCondition]) {
    conditions += tree.fields
    for alternative in tree.choices.joined() { collect(alternative, into: &conditions) }
  }

  private static func formula(
    _ tree: PatternTree, _ order: [Int], _ next: inout Int, _ wordCount: Int
  ) -> PatternFormula {
    var formula = PatternFormula(wordCount: wordCount)
    for _ in tree.fields {
      formula.require(order[next])
      next += 1
    }
    for choice in tree.choices {
      var alternatives: [PatternFormula] = []
      for alternative in choice { alternatives.append(Self.formula(alternative, order, &next, wordCount)) }
      formula.choices.append(alternatives)
    }
    return formula
  }

  private static func bits(_ conditions: [Int], _ wordCount: Int) -> [UInt64] {
    var words = [UInt64](repeating: 0, count: wordCount)
    for condition in conditions { words[condition >> 6] |= 1 << UInt64(condition & 63) }
    return words
  }
}
