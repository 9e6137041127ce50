import Testing

@testable import LambdaRuntime

/// The expected values were computed by another implementation; the first is the example of Standard Webhooks.
@Suite("Signatures of requests")
struct WebhookSignatureTests {
  @Test("a request is signed with the key that a secret stands for")
  func signed() throws {
    let signature = try #require(WebhookSignature(secret: " whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"))
    let headers = signature.headers(
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek", second: 1_614_265_330, body: Array(#"{"test": 2432232314}"#.utf8))
    #expect(headers.map(\.0) == ["webhook-id", "webhook-timestamp", "webhook-signature"])
    #expect(headers.map(\.1)[..<2] == ["msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330"])
    #expect(headers[2].1 == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    #expect(signature.fingerprint == "f74e1720")
  }

  @Test("a text that is no encoded key is a key itself, also when it is longer than a block of the digest")
  func text() throws {
    let signature = try #require(WebhookSignature(secret: String(repeating: "k", count: 100)))
    let headers = signature.headers(id: "1", second: 2, body: [])
    #expect(headers[2].1 == "v1,Pl1oQQdn3M8mPQvqJvjZscx6jrkGEJgyHFVyhWF8/2Q=")
    #expect(signature.fingerprint == "e37c7cb7")
  }

  @Test("a secret has 8 bytes at least", arguments: ["", "1234567", "whsec_", "whsec_AAAA", "whsec_not base64!"])
  func tooShort(secret: String) {
    #expect(WebhookSignature(secret: secret) == nil)
  }
}
