/// A pattern as it was read: the fields that all must match, and the `$or`s of which one alternative must.
struct PatternTree: Sendable {
  var fields: [FieldCondition] = []
  var choices: [[PatternTree]] = []
}

/// One field of a pattern, and the list of what its value may be.
struct FieldCondition: Sendable {
  /// The names on the way to the field. A name with dots stands for as many names: paths are compared as texts joined
  /// by dots.
  var path: [[UInt8]]
  var matchers: [ValueMatcher]
  /// The matchers in plain words, for explanations.
  var wishes: [String]

  /// The field may be missing.
  var acceptsAbsence: Bool {
    matchers.contains { if case .absent = $0 { true } else { false } }
  }

  /// The names, joined by dots.
  var name: String { String(decoding: FieldPath.joined(path[...]), as: UTF8.self) }
}

/// The names on the way to a field.
enum FieldPath {
  private static let dot = UInt8(ascii: ".")

  /// The names that a key stands for: itself, or its parts between dots.
  static func names(in key: [UInt8]) -> [[UInt8]] {
    key.split(separator: dot, omittingEmptySubsequences: false).map(Array.init)
  }

  static func joined(_ names: ArraySlice<[UInt8]>) -> [UInt8] { Array(names.joined(separator: [dot])) }
}
