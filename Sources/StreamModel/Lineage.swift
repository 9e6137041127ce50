/// How many invocations of functions, one after the other, a record comes from: zero for one that was put from outside, one
/// for the output of a function that took such a record, and so on.
///
/// A function passes it on with the trace header that it got, as Lambda's detection of recursive loops has it, and so its
/// output counts one more than its input did. What does not pass it on begins at zero.
public struct Lineage: Hashable, Comparable, Sendable {
  /// 0 … 255; more counts as 255.
  public var hops: Int

  /// It was put from outside.
  public static var none: Lineage { Lineage(hops: 0) }
  /// More than this are not told apart.
  public static var greatestHops: Int { 255 }

  public init(hops: Int) {
    self.hops = min(max(0, hops), Self.greatestHops)
  }

  /// That of what an invocation puts which got this.
  public var next: Lineage { Lineage(hops: hops + 1) }

  public static func < (left: Lineage, right: Lineage) -> Bool { left.hops < right.hops }

  /// How it stands in the flags of a packed record: in the upper byte.
  init(flags: UInt16) { self.init(hops: Int(flags >> 8)) }

  var flags: UInt16 { UInt16(hops) << 8 }
}

/// A trace header says something that is no lineage.
public struct LineageProblem: Error, Hashable, Sendable, CustomStringConvertible {
  public var value: String

  public init(value: String) {
    self.value = value
  }

  public var description: String {
    "Lineage is \(value): expected is HASH:COUNT, or several of these with | between them"
  }
}

extension Lineage {
  /// What X-Ray calls the header that carries it.
  public static let headerName = "X-Amzn-Trace-Id"
  /// The variable that a function's runtime keeps the header of its invocation in.
  public static let variableName = "_X_AMZN_TRACE_ID"

  /// Reads the member `Lineage` of a trace header: `Root=…;Parent=…;Sampled=0;Lineage=a87bd80c:3`. Without it, none.
  /// Where the invocations of several functions are counted apart (`a87bd80c:3|68fd508a:5`), they are added up.
  public init(traceHeader: String) throws(LineageProblem) {
    self = .none
    for member in traceHeader.split(separator: ";") {
      let parts = member.split(separator: "=", maxSplits: 1)
      guard parts.count == 2, Self.trimmed(parts[0]).lowercased() == "lineage" else { continue }
      for pair in parts[1].split(separator: "|") {
        let text = Self.trimmed(pair)
        guard let colon = text.lastIndex(of: ":"), let count = UInt32(text[text.index(after: colon)...]) else {
          throw LineageProblem(value: String(parts[1].prefix(80)))
        }
        self = Lineage(hops: hops + Int(count))
      }
    }
  }

  /// The member of a trace header that says it: `Lineage=a87bd80c:3`, with the one that counted last.
  public func member(of function: String) -> String { Self.memberPrefix(of: function) + "\(hops)" }

  /// The same for all that one function counts, up to the count: `Lineage=a87bd80c:`.
  public static func memberPrefix(of function: String) -> String {
    let hash = String(UInt32(truncatingIfNeeded: HashKey(partitionKey: function).rawValue), radix: 16)
    return "Lineage=\(String(repeating: "0", count: 8 - hash.count))\(hash):"
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text
    while text.first == " " { text.removeFirst() }
    while text.last == " " { text.removeLast() }
    return text
  }
}
