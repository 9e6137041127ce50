import Crypto
import Foundation

/// Signs a request as Standard Webhooks says (standardwebhooks.com), so that who gets it can tell that we sent it, and
/// when: `webhook-id`, `webhook-timestamp`, and `webhook-signature`, an HMAC-SHA256 of both and the body.
public struct WebhookSignature: Hashable, Sendable {
  private let key: [UInt8]

  /// `secret`: what stands in a file of secrets, `whsec_` and base64, or any other text of at least 8 bytes; blanks
  /// around it do not count. `nil` if it is none.
  public init?(secret: String) {
    let text = secret.trimmingCharacters(in: .whitespacesAndNewlines)
    if text.hasPrefix("whsec_") {
      guard let data = Data(base64Encoded: String(text.dropFirst(6))), data.count >= 8 else { return nil }
      key = Array(data)
    } else {
      guard text.utf8.count >= 8 else { return nil }
      key = Array(text.utf8)
    }
  }

  /// The headers of a request. `second` is the time in seconds since 1970.
  func headers(id: String, second: Int64, body: [UInt8]) -> [(String, String)] {
    let code = HMAC<SHA256>.authenticationCode(
      for: Array("\(id).\(second).".utf8) + body, using: SymmetricKey(data: key))
    return [
      ("webhook-id", id), ("webhook-timestamp", "\(second)"),
      ("webhook-signature", "v1,\(Data(code).base64EncodedString())"),
    ]
  }

  /// Tells whether two keys are the same, and nothing else.
  package var fingerprint: String {
    SHA256.hash(data: key).prefix(4).map { String(UInt16($0) + 256, radix: 16).dropFirst() }.joined()
  }
}
