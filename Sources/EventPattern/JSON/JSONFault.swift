/// Why bytes are not JSON (RFC 8259), and where.
public struct JSONFault: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Kind: Hashable, Sendable {
    /// The text ends inside a value, or there is none.
    case endsEarly
    /// A byte that cannot stand there.
    case unexpectedByte
    /// A control character that is not escaped.
    case controlCharacter
    /// An escape that JSON does not know.
    case badEscape
    /// Bytes that are not UTF-8.
    case notUTF8
    /// A number that is not written as JSON wants it.
    case badNumber
    /// More than ``JSONCursor/nestingLimit`` containers in one another.
    case nestedTooDeeply
    /// Something follows the value.
    case textBehindValue
  }

  public var kind: Kind
  /// The byte, from 0.
  public var offset: Int

  public init(kind: Kind, offset: Int) {
    self.kind = kind
    self.offset = offset
  }

  /// `an escape that JSON does not know, at byte 17`
  public var description: String { "\(reason), at byte \(offset)" }

  /// Without the byte.
  package var reason: String {
    switch kind {
    case .endsEarly: "the text ends too early"
    case .unexpectedByte: "a character that cannot stand there"
    case .controlCharacter: "a control character that is not escaped"
    case .badEscape: "an escape that JSON does not know"
    case .notUTF8: "bytes that are not UTF-8"
    case .badNumber: "a number that is not written as in JSON"
    case .nestedTooDeeply: "more than \(JSONCursor.nestingLimit) arrays and objects in one another"
    case .textBehindValue: "something follows the JSON value"
    }
  }
}
