/// Two texts that differ, each from shortly before the place where they begin to.
public struct ChangedText: Hashable, Sendable {
  public let before: String
  public let after: String

  /// So many equal characters stay before the first one that differs.
  private static let contextCount = 30

  /// What is equal at the beginning is left out where it takes more than half of `limit` characters.
  public init(_ before: String, _ after: String, limit: Int) {
    let equal = zip(before, after).prefix { $0.0 == $0.1 }.count
    guard equal > max(limit / 2, Self.contextCount) else {
      (self.before, self.after) = (before, after)
      return
    }
    self.before = "…" + before.dropFirst(equal - Self.contextCount)
    self.after = "…" + after.dropFirst(equal - Self.contextCount)
  }
}
