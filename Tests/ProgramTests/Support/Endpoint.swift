import Foundation
import Testing

/// An HTTP endpoint in a process of its own, which notes every document that it gets.
///
/// How it answers is the first word of its file `mode`: `ok`, `refuse` (500), `busy` (429, come again in a second), or
/// `hang`.
final class Endpoint: Sendable {
  let port: Int
  private let place: Workplace
  private let child: Child
  private let log: OutputLines

  enum Mode: String {
    case ok, refuse, busy, hang
  }

  /// A document as it came.
  struct Received: Decodable {
    var id: String
    var key: String
    var answered: Int
    var body: String
  }

  /// Without a port it takes any free one.
  init(at place: Workplace, port: Int = 0, mode: Mode = .ok) async throws {
    self.place = place
    try place.write(Self.program, to: "endpoint.py")
    try place.write(mode.rawValue, to: "mode")
    let pipe = Pipe()
    log = OutputLines(reading: pipe)
    child = try Child(
      ["/usr/bin/env", "python3", "endpoint.py", "\(port)"], in: place.folder, environment: [:],
      output: FileHandle.nullDevice, errors: pipe)
    try pipe.fileHandleForWriting.close()
    let (log, child) = (log, child)
    Task { log.end(await child.ended()) }
    let line = try await log.line(containing: "port=")
    self.port = try #require(line.split(separator: "=").last.flatMap { Int($0) })
  }

  var url: String { "http://127.0.0.1:\(port)/failures" }

  func set(_ mode: Mode) throws { try place.write(mode.rawValue, to: "mode") }

  /// Ends it; whoever connects from now on is refused.
  func end() async {
    child.send(SIGKILL)
    _ = await child.ended()
  }

  /// Everything that came so far, in the order in which it was answered.
  static func received(at place: Workplace) throws -> [Received] {
    guard let text = try? String(contentsOf: place.folder.appending(path: "received"), encoding: .utf8) else {
      return []
    }
    return try text.split(separator: "\n").map { try JSONDecoder().decode(Received.self, from: Data($0.utf8)) }
  }

  private static let program = """
    import http.server, json, sys, threading

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def log_message(self, *arguments): pass
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            mode = open("mode").read().strip()
            status = {"ok": 200, "refuse": 500, "busy": 429, "hang": 0}[mode]
            note = {"id": self.headers["sluice-document-id"], "key": self.headers["sluice-object-key"],
                    "answered": status, "body": body}
            with open("received", "a") as notes: notes.write(json.dumps(note) + "\\n")
            if mode == "hang": threading.Event().wait()
            text = b"told to" if status >= 400 else b""
            self.send_response(status)
            if mode == "busy": self.send_header("Retry-After", "1")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.daemon_threads = True
    print("port=%d" % server.server_port, file=sys.stderr, flush=True)
    server.serve_forever()

    """
}
