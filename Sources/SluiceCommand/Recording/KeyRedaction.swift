import ArgumentParser
import Foundation
import Recordings

/// What becomes of partition keys in a recording.
struct KeyRedaction: ParsableArguments {
  @Flag(
    help: """
      Put a pseudonym in place of each partition key: the same one for the same key, so that order and grouping stay. Nobody \
      can tell the key from it.
      """)
  var redactKeys = false
  @Option(
    help: """
      With --redact-keys: a file with a secret of 16 bytes or more. Recordings with the same secret have the same \
      pseudonyms. Default: a random one, which is not kept.
      """)
  var keySecret: String?

  private static let leastSecretByteCount = 16

  func validate() throws {
    if keySecret != nil, !redactKeys { throw ValidationError("--key-secret goes with --redact-keys.") }
  }

  /// `nil`: keys stay as they are, or the secret is a random one.
  func secret() throws -> [UInt8]? {
    guard let keySecret else { return nil }
    let text: String
    do {
      text = try String(contentsOfFile: keySecret, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
    } catch {
      throw Problem(Exit.badInput, "--key-secret is \(keySecret): it cannot be read: \(error.localizedDescription)")
    }
    guard text.utf8.count >= Self.leastSecretByteCount else {
      throw Problem(
        Exit.badInput,
        "--key-secret is \(keySecret): its secret has \(text.utf8.count) bytes, and needs \(Self.leastSecretByteCount) or more"
      )
    }
    return Array(text.utf8)
  }
}
