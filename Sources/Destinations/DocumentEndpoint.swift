public import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import StreamRuntime

/// A URL that documents are posted to, as `application/json`.
///
/// | answer | meaning |
/// | --- | --- |
/// | 2xx | accepted |
/// | 429, 503 | come again, after `Retry-After` if it is there, in seconds |
/// | anything else, or none in time | failed, and tried again |
///
/// `Sluice-Document-Id` and `Sluice-Object-Key` are the same when a document comes a second time.
public struct DocumentEndpoint: Sendable {
  public let url: String
  private let timeoutMilliseconds: Int64
  private let client: HTTPClient

  /// One for the process, which lives as long as it does.
  ///
  /// A redirect is an answer like any other that is not 2xx: followed, it could turn the POST into a GET that succeeds.
  /// A refused connection is known at once, and it is the outbox that tries again.
  public static let client: HTTPClient = {
    var configuration = HTTPClient.Configuration(
      redirectConfiguration: .disallow, timeout: .init(connect: .seconds(5)))
    configuration.connectionPool.retryConnectionEstablishment = false
    return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }()

  /// What of an answer's body goes into the message of a failure.
  static let excerptByteLimit = 500

  public init(url: String, timeoutMilliseconds: Int64 = 30_000, client: HTTPClient = DocumentEndpoint.client) {
    self.url = url
    self.timeoutMilliseconds = timeoutMilliseconds
    self.client = client
  }

  /// Posts a document, with more headers, and returns the URL.
  public func post(
    _ document: [UInt8], as key: ObjectKey, headers: [(name: String, value: String)] = []
  ) async throws -> String {
    var request = HTTPClientRequest(url: url)
    request.method = .POST
    request.headers = [
      "content-type": "application/json", "user-agent": "sluice", "sluice-document-id": key.documentID,
      "sluice-object-key": key.description,
    ]
    for (name, value) in headers { request.headers.add(name: name, value: value) }
    request.body = .bytes(ByteBuffer(bytes: document))
    let response: HTTPClientResponse
    do {
      response = try await client.execute(request, timeout: .milliseconds(timeoutMilliseconds))
    } catch {
      throw DestinationFailure("no answer: \(error)")
    }
    let excerpt = try await excerpt(of: response)
    guard !(200..<300).contains(response.status.code) else { return url }
    throw DestinationFailure(
      "it answered \(response.status.code)\(excerpt.isEmpty ? "" : ": \(excerpt)")",
      retryAfterMilliseconds: Self.retryAfter(response))
  }

  /// Reads the body to its end, so that the connection can be used again, unless it is a long one.
  private func excerpt(of response: HTTPClientResponse) async throws(DestinationFailure) -> String {
    var text: [UInt8] = []
    do {
      for try await part in response.body {
        text.append(contentsOf: part.readableBytesView)
        if text.count > Self.excerptByteLimit { break }
      }
    } catch {
      throw DestinationFailure("its answer broke off: \(error)")
    }
    return String(decoding: text.prefix(Self.excerptByteLimit), as: UTF8.self)
  }

  static func retryAfter(_ response: HTTPClientResponse) -> Int64? {
    guard [429, 503].contains(response.status.code), let text = response.headers.first(name: "retry-after"),
      let seconds = Int64(text), seconds >= 0
    else { return nil }
    let (milliseconds, overflow) = seconds.multipliedReportingOverflow(by: 1_000)
    return overflow ? .max : milliseconds
  }
}
