/// What a filter says about a record.
public enum FilterVerdict: Hashable, Sendable {
  /// The first pattern that matches, from 0; `nil` if there are no patterns.
  case matched(pattern: Int?)
  /// No pattern matches: the record is filtered out.
  case notMatched
  /// No pattern matches, and one that asks for fields of the data could not be tried because the data is not JSON: the
  /// record is filtered out.
  case notJSON(JSONFault)
  /// The record's arrays combine in more ways than ``EventMatcher/combinationLimit``, and none of those that were tried
  /// matches. Deliver such a record: dropping one that matches would lose it.
  case tooManyCombinations

  /// The record goes to the handler.
  public var passes: Bool {
    switch self {
    case .matched, .tooManyCombinations: true
    case .notMatched, .notJSON: false
    }
  }
}
