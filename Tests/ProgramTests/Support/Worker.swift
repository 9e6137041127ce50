import Foundation
import Sluice
import StreamModel
import Synchronization

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// A running `sluice run`.
final class Worker: Sendable {
  private let child: Child
  private let log: WorkerLog
  /// Where it listens.
  let address: String

  /// Starts a worker, and returns when it has said where it listens. `launcher` is a command that ends in an exec.
  init(in folder: URL, environment: [String: String], launcher: [String] = []) async throws {
    let pipe = Pipe()
    log = WorkerLog(reading: pipe)
    let command = [Program.path, "run", "--config", "sluice.yaml", "--listen", "127.0.0.1:0"]
    child = try Child(
      launcher + command, in: folder, environment: environment, output: .nullDevice, errors: pipe)
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

/// The lines that a worker writes to its standard error, as they come.
private final class WorkerLog: Sendable {
  private struct State {
    var lines: [String] = []
    var partial: [UInt8] = []
    var waiting: [(text: String, moment: Moment<String?>)] = []
    var end: Int32?
  }

  private let state = Mutex(State())

  init(reading pipe: Pipe) {
    pipe.fileHandleForReading.readabilityHandler = { [weak self] handle in
      let data = handle.availableData
      if data.isEmpty { handle.readabilityHandler = nil }
      self?.take(data)
    }
  }

  var all: [String] { state.withLock(\.lines) }

  func line(containing text: String) async throws -> String {
    let moment = Moment<String?>()
    state.withLock { state in
      if let line = state.lines.first(where: { $0.contains(text) }) {
        moment.announce(line)
      } else if state.end != nil {
        moment.announce(nil)
      } else {
        state.waiting.append((text, moment))
      }
    }
    let deadline = DispatchWorkItem { moment.announce(nil) }
    DispatchQueue.global().asyncAfter(deadline: .now() + 40, execute: deadline)
    defer { deadline.cancel() }
    if let line = await moment.value { return line }
    throw NotHappened(
      description: "the worker did not say \(text); it said:\n" + all.suffix(30).joined(separator: "\n"))
  }

  private func take(_ data: Data) {
    state.withLock { state in
      state.partial.append(contentsOf: data)
      while let end = state.partial.firstIndex(of: 10) {
        let line = String(decoding: state.partial[..<end], as: UTF8.self)
        state.partial.removeFirst(end + 1)
        state.lines.append(line)
        for waiter in state.waiting where line.contains(waiter.text) { waiter.moment.announce(line) }
        state.waiting.removeAll { line.contains($0.text) }
      }
    }
  }

  func end(_ code: Int32) {
    let waiting = state.withLock { state in
      state.end = code
      defer { state.waiting = [] }
      return state.waiting
    }
    for waiter in waiting { waiter.moment.announce(nil) }
  }
}
