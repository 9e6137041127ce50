/// How large the patterns of one mapping may be.
public struct FilterLimits: Hashable, Sendable {
  /// Patterns of one mapping. AWS allows 5, and 10 on request.
  public var patterns = 5
  /// Unicode characters of one pattern, as on AWS.
  public var patternCharacters = 4_096
  /// Ways through the `$or`s of one pattern: the product of what each of them has to choose from. As in EventBridge.
  public var combinations = 1_000
  /// Names in one another, from the outermost field to the innermost. Ours; AWS names no such limit.
  public var nesting = 100
  /// Stars in one wildcard. Ours; EventBridge judges how complex a wildcard is.
  public var wildcardStars = 32

  public init() {}

  /// What AWS allows on request.
  public static let greatestPatternCount = 10
}
