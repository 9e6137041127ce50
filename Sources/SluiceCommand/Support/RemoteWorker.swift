import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import Sluice
import StreamModel

/// A running worker behind its port.
struct RemoteWorker: Writing {
  let address: String

  func perform(_ request: OperatorRequest) async -> OperatorAnswer {
    do {
      let body = try JSONEncoder().encode(request)
      return try JSONDecoder().decode(OperatorAnswer.self, from: try await post("/v1/operator", body))
    } catch {
      return .refused(unreachable(error))
    }
  }

  /// Puts packed records (`RecordLayout`), which the worker routes and stores.
  func put(_ records: [UInt8], into stream: String, lineage: Lineage) async -> PutAnswer {
    do {
      let path = "/v1/streams/\(stream)/records"
      return try JSONDecoder().decode(PutAnswer.self, from: try await post(path, Data(records), lineage))
    } catch {
      return .refused(unreachable(error))
    }
  }

  private func post(_ path: String, _ body: Data, _ lineage: Lineage = .none) async throws -> Data {
    var request = HTTPClientRequest(url: "http://\(address)\(path)")
    request.method = .POST
    request.headers = ["content-type": "application/octet-stream", "user-agent": "sluice"]
    if lineage > .none { request.headers.add(name: Lineage.headerName, value: lineage.member(of: "sluice")) }
    request.body = .bytes(body)
    let response = try await Self.client.execute(request, timeout: .seconds(60))
    var answer = Data()
    for try await part in response.body { answer.append(contentsOf: part.readableBytesView) }
    return answer
  }

  /// One for the process, which lives as long as it does. A connection for each of those who put at the same time.
  private static let client: HTTPClient = {
    var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow, timeout: .init(connect: .seconds(5)))
    configuration.connectionPool.retryConnectionEstablishment = false
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1_000
    return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }()

  private func unreachable(_ error: any Error) -> OperatorRefusal {
    OperatorRefusal(.needsWorker, "The worker at \(address) does not answer: \(Self.reason(error))")
  }

  /// What the error says of itself is about a connection that was reset, where there never was one.
  private static func reason(_ error: any Error) -> String {
    let refusals = [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH]
    guard let code = (error as? IOError)?.errnoCode, refusals.contains(code) else { return "\(error)" }
    return String(cString: strerror(code)).lowercased()
      + ". It is starting or draining: try again in a moment. If that does not help, look into its log and start it again"
  }
}
