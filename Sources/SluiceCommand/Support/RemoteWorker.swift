import Foundation
import Sluice
import StreamModel

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

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
    guard let url = URL(string: "http://\(address)\(path)") else { throw URLError(.badURL) }
    var request = URLRequest(url: url)
    request.httpMethod = "POST"
    request.setValue("application/octet-stream", forHTTPHeaderField: "Content-Type")
    if lineage > .none {
      request.setValue(lineage.member(of: "sluice"), forHTTPHeaderField: Lineage.headerName)
    }
    request.timeoutInterval = 60
    request.httpBody = body
    return try await URLSession.shared.data(for: request).0
  }

  private func unreachable(_ error: any Error) -> OperatorRefusal {
    OperatorRefusal(.needsWorker, "The worker at \(address) does not answer: \(error.localizedDescription)")
  }
}
