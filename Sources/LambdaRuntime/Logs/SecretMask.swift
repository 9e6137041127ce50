import Foundation
import StreamModel

/// Keeps secrets of a function's environment out of what is told of it: its log, its errors and their tracebacks.
///
/// A variable is taken for a secret by its name. Values that are too short to be one, and would be found everywhere, are
/// left as they are.
struct SecretMask: Sendable {
  static let replacement = "***"
  static let shortestSecret = 8
  private static let words = ["SECRET", "PASSWORD", "PASSWD", "TOKEN", "CREDENTIAL", "PRIVATE", "API_KEY", "APIKEY"]

  /// Longest first: one may be a part of another.
  private let secrets: [String]

  /// `variables` as a process gets them: `NAME=value`.
  init(_ variables: [String]) {
    var found: Set<String> = []
    for variable in variables {
      let parts = variable.split(separator: "=", maxSplits: 1)
      guard parts.count == 2, parts[1].utf8.count >= Self.shortestSecret else { continue }
      let name = parts[0].uppercased()
      if Self.words.contains(where: { name.contains($0) }) { found.insert(String(parts[1])) }
    }
    secrets = found.sorted { ($1.utf8.count, $0) < ($0.utf8.count, $1) }
  }

  func masked(_ text: String) -> String {
    var text = text
    for secret in secrets where text.contains(secret) { text = text.replacing(secret, with: Self.replacement) }
    return text
  }

  func masked(_ failure: HandlerFailure) -> HandlerFailure {
    guard !secrets.isEmpty else { return failure }
    var failure = failure
    failure.message = masked(failure.message)
    failure.trace = failure.trace.map(masked)
    return failure
  }
}
