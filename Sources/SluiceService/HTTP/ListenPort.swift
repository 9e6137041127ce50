import Foundation
import HTTPTypes
import Hummingbird
public import Logging
import NIOCore
public import ServiceLifecycle
public import Sluice
import StreamModel

/// The port of a worker: health, metrics, and the requests of the command line.
///
/// | path | answer |
/// | --- | --- |
/// | `GET /health` | 200 while the process serves |
/// | `GET /ready` | 200, or 503 with the reasons: a shard is blocked too long, the worker drains |
/// | `GET /metrics` | Prometheus text |
/// | `POST /v1/operator` | an ``OperatorRequest`` in JSON, answered by an ``OperatorAnswer`` |
/// | `POST /v1/streams/NAME/records` | packed records, answered by a ``PutReport``; `X-Amzn-Trace-Id` may carry a `Lineage` |
public struct ListenPort: Service {
  /// What the port needs to know of the worker behind it.
  public struct Backend: Sendable {
    public var writing: any Writing
    /// Why the worker is not ready. Empty when it is.
    public var unreadiness: @Sendable () -> [String]
    public var metrics: @Sendable () -> String
    /// Called once, with the bound address.
    public var isListening: @Sendable (String) -> Void

    public init(
      writing: any Writing, unreadiness: @escaping @Sendable () -> [String], metrics: @escaping @Sendable () -> String,
      isListening: @escaping @Sendable (String) -> Void
    ) {
      self.writing = writing
      self.unreadiness = unreadiness
      self.metrics = metrics
      self.isListening = isListening
    }
  }

  /// The largest body of one request. A put of 500 records of 1 MiB does not fit: the command line sends less at once.
  public static let bodyByteLimit = 64 * 1_024 * 1_024

  private let host: String
  private let port: Int
  private let backend: Backend
  private let logger: Logger

  public init(host: String, port: Int, backend: Backend, logger: Logger) {
    self.host = host
    self.port = port
    self.backend = backend
    self.logger = logger
  }

  public func run() async throws {
    let router = Router()
    let backend = backend
    router.get("/health") { _, _ in Self.json(.ok, ["status": "ok"]) }
    router.get("/ready") { _, _ in
      let reasons = backend.unreadiness()
      return Self.json(reasons.isEmpty ? .ok : .serviceUnavailable, Readiness(ready: reasons.isEmpty, reasons: reasons))
    }
    router.get("/metrics") { _, _ in
      Response(
        status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
        body: .init(byteBuffer: ByteBuffer(string: backend.metrics())))
    }
    router.post("/v1/operator") { request, _ in
      let body = try await request.body.collect(upTo: Self.bodyByteLimit)
      do {
        let order = try JSONDecoder().decode(OperatorRequest.self, from: Data(body.readableBytesView))
        return Self.json(.ok, await backend.writing.perform(order))
      } catch {
        return Self.json(
          .badRequest, OperatorAnswer.refused(.init(.badInput, "The request could not be read: \(error)")))
      }
    }
    router.post("/v1/streams/:name/records") { request, context in
      let name = try context.parameters.require("name")
      let body = try await request.body.collect(upTo: Self.bodyByteLimit)
      do {
        let lineage = try Self.traceHeader.flatMap { request.headers[$0] }.map { try Lineage(traceHeader: $0) } ?? .none
        return Self.json(.ok, await backend.writing.put(Array(body.readableBytesView), into: name, lineage: lineage))
      } catch {
        return Self.json(.badRequest, PutAnswer.refused(.init(.badInput, "\(Lineage.headerName): \(error)")))
      }
    }
    let application = Application(
      router: router,
      configuration: .init(address: .hostname(host, port: port), serverName: "sluice"),
      onServerRunning: { channel in
        let bound = channel.localAddress
        backend.isListening("\(bound?.ipAddress ?? host):\(bound?.port ?? port)")
      },
      logger: logger)
    try await application.run()
  }

  private static let traceHeader = HTTPField.Name(Lineage.headerName)

  private struct Readiness: Encodable {
    var ready: Bool
    var reasons: [String]
  }

  private static func json(_ status: HTTPResponse.Status, _ value: some Encodable) -> Response {
    do {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
      let data = try encoder.encode(value)
      return Response(
        status: status, headers: [.contentType: "application/json"], body: .init(byteBuffer: ByteBuffer(bytes: data)))
    } catch {
      return Response(
        status: .internalServerError, headers: [.contentType: "text/plain"],
        body: .init(byteBuffer: ByteBuffer(string: "The answer could not be written: \(error)")))
    }
  }
}
