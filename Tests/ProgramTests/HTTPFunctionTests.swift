import Foundation
import Sluice
import Testing

@Suite("Functions behind a URL", .timeLimit(.minutes(10)))
struct HTTPFunctionTests {
  /// Notes what it gets, and answers as the file `mode` says.
  private static let program = """
    import base64, http.server, json, sys
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def log_message(self, *arguments): pass
        def do_POST(self):
            kinesis = [one["kinesis"] for one in json.loads(self.rfile.read(int(self.headers["content-length"])))["Records"]]
            status = int(open("mode").read())
            if status == 200:
                with open("delivered", "a") as notes:
                    for one in kinesis:
                        notes.write("0 %s %s %s\\n" % (kinesis[0]["sequenceNumber"], one["sequenceNumber"], one["data"]))
            body = b"{}" if status == 200 else b"told to"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print("port=%d" % server.server_port, flush=True)
    server.serve_forever()
    """

  private static func yaml(port: String) -> String {
    """
    streams:
      - { name: numbers, shards: 1 }
    functions:
      - { name: note, protocol: http, url: "http://127.0.0.1:\(port)/events", secretFile: secret, timeout: 20s }
    mappings:
      - { stream: numbers, function: note, MaximumRetryAttempts: 0 }

    """
  }

  @Test("records reach a service; a busy one costs no attempt, an error does")
  func service() async throws {
    try await Workplace.with { place in
      try place.write(Self.program, to: "service.py")
      try place.write("503", to: "mode")
      try place.write("a secret of ours", to: "secret")
      let service = try place.follow(["/usr/bin/env", "python3", "service.py"])
      let port = try #require(try await service.line(containing: "port=").split(separator: "=").last)
      try place.write(Self.yaml(port: String(port)), to: "sluice.yaml")
      let worker = try await place.start()
      try await place.put("one", "two")
      let lane = try await place.lane(is: .retrying)
      #expect(lane.attempts.last?.type == "TooManyRequestsException")
      #expect(lane.attemptsLeft == 1)
      try place.write("200", to: "mode")
      try await place.isDrained()
      #expect(place.delivered.map(\.text) == ["one", "two"])
      try place.write("500", to: "mode")
      try await place.put("three")
      let entry = try #require(try await place.failures().first)
      let detail = try await place.ask(FailureDetail.self, "failures", "show", "\(entry.entry)")
      #expect(detail.entry.attempts.map(\.type) == ["HTTP.500"])
      #expect(detail.entry.attempts.map(\.message) == ["The service answered 500: told to"])
      try place.write("200", to: "mode")
      try await place.put("four")
      try await place.isDrained()
      #expect(place.delivered.map(\.text) == ["one", "two", "four"])
      let report = try #require(try await place.ask([FunctionReport].self, "functions").first)
      #expect(report.errors == ["HTTP.500": 1] && report.throttles > 0)
      #expect(report.recommendedMemoryMegabytes == nil)
      #expect(try await place.sluice("logs", "note").output.contains("Status: error\tError Type: HTTP.500"))
      #expect(await worker.drain() == 0)
    }
  }

  @Test("a service is invoked by hand: its answer is the output, its error the exit code")
  func invoked() async throws {
    try await Workplace.with { place in
      try place.write(Self.program, to: "service.py")
      try place.write("200", to: "mode")
      try place.write("a secret of ours", to: "secret")
      try place.write(
        #"{"Records":[{"kinesis":{"sequenceNumber":"1","data":"b25l"}}]}"#, to: "event.json")
      let service = try place.follow(["/usr/bin/env", "python3", "service.py"])
      let port = try #require(try await service.line(containing: "port=").split(separator: "=").last)
      try place.write(Self.yaml(port: String(port)), to: "sluice.yaml")
      let fine = try await place.sluice("invoke", "note", "event.json", "--config", "sluice.yaml")
      #expect(fine.code == 0 && fine.output == "{}\n", "\(fine)")
      #expect(fine.errors.contains("START RequestId: ") && fine.errors.contains("REPORT RequestId: "))
      let noted = place.folder.appending(path: "delivered")
      #expect(try String(contentsOf: noted, encoding: .utf8) == "0 1 1 b25l\n")
      try place.write("500", to: "mode")
      let failed = try await place.sluice("invoke", "note", "event.json", "--config", "sluice.yaml", "--quiet")
      #expect(failed.code == 1 && failed.errors == "sluice: HTTP.500: The service answered 500: told to\n", "\(failed)")
      let dry = try await place.sluice("invoke", "note", "event.json", "--config", "sluice.yaml", "--dry-run")
      #expect(dry.output == "note: POST http://127.0.0.1:\(port)/events, 62 bytes of event\n", "\(dry)")
      #expect(try String(contentsOf: noted, encoding: .utf8) == "0 1 1 b25l\n")
    }
  }

  @Test("what a service does not have is refused, all of it at once")
  func refused() async throws {
    try await Workplace.with { place in
      try place.write("short", to: "secret")
      try place.write(
        Self.yaml(port: "1").replacing("timeout: 20s", with: "memory: 1GiB, command: [a]"), to: "sluice.yaml")
      let checked = try await place.sluice("check", "sluice.yaml")
      #expect(checked.code == 65)
      for text in ["holds no secret", "functions[0].memory", "functions[0].command"] {
        #expect(checked.errors.contains(text), "\(checked)")
      }
    }
  }
}
