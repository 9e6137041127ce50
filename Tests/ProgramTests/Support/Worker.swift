import Foundation
import Sluice
import StreamModel

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// A running `sluice run`.
final class Worker: Sendable {
  private let child: Child
  private let log: OutputLines
  /// Where it listens.
  let address: String

  /// Starts a worker, and returns when it has said where it listens. `launcher` is a command that ends in an exec.
  init(in folder: URL, environment: [String: String], launcher: [String] = []) async throws {
    let pipe = Pipe()
    log = OutputLines(reading: pipe)
    let command = [Program.path, "run", "--config", "sluice.yaml", "--listen", "127.0.0.1:0"]
    child = try Child(
      launcher + command, in: folder, environment: environment, output: FileHandle.nullDevice, errors: pipe)
    try pipe.fileHandleForWriting.close()
    let (log, child) = (log, child)
    Task { log.end(await child.ended()) }
    let line = try await log.line(containing: "address=")
    address = line.split(separator: "address=").last.map { $0.trimmingCharacters(in: ["\""]) } ?? ""
  }

  var processID: Int32 { child.processID }

  /// The first line of its log, past or future, that contains this.
  func says(_ text: String) async throws -> String { try await log.line(containing: text) }

  /// All of its log so far.
  var lines: [String] { log.all }

  /// SIGKILL; returns when it is gone.
  func kill() async {
    child.send(SIGKILL)
    _ = await child.ended()
  }

  /// SIGHUP: it reads its configuration again.
  func hangUp() { child.send(SIGHUP) }

  /// SIGTERM; the exit code after the drain.
  func drain() async -> Int32 {
    child.send(SIGTERM)
    return await child.ended()
  }

  // MARK: Its port

  func get(_ path: String) async throws -> (status: Int, text: String) {
    let (data, response) = try await URLSession.shared.data(from: url(path))
    return ((response as? HTTPURLResponse)?.statusCode ?? 0, String(decoding: data, as: UTF8.self))
  }

  /// Puts records as the command does: packed, in one request.
  func put(_ records: [Packed], into stream: String = "numbers") async throws -> PutAnswer {
    var body: [UInt8] = []
    for record in records { record.append(to: &body) }
    return try await put(raw: body, into: stream)
  }

  /// Sends any bytes as a put.
  func put(raw body: [UInt8], into stream: String = "numbers") async throws -> PutAnswer {
    var request = URLRequest(url: try url("/v1/streams/\(stream)/records"))
    request.httpMethod = "POST"
    request.httpBody = Data(body)
    return try JSONDecoder().decode(PutAnswer.self, from: try await URLSession.shared.data(for: request).0)
  }

  private func url(_ path: String) throws -> URL {
    guard let url = URL(string: "http://\(address)\(path)") else { throw URLError(.badURL) }
    return url
  }
}

/// A record for the port: any bytes as its key and data.
struct Packed {
  var key: [UInt8]
  var data: [UInt8]

  init(_ data: some Sequence<UInt8>, key: some Sequence<UInt8> = "k".utf8) {
    (self.key, self.data) = (Array(key), Array(data))
  }

  func append(to bytes: inout [UInt8]) {
    key.withUnsafeBytes { key in
      data.withUnsafeBytes { data in
        RecordLayout.append(partitionKey: key, data: data, explicitHashKey: nil, to: &bytes)
      }
    }
  }
}
