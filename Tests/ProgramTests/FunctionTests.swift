import Foundation
import Sluice
import Testing

@Suite("Functions that speak the Runtime API", .timeLimit(.minutes(10)))
struct FunctionTests {
  /// A runtime of a few lines that notes every record like the handler of the other stories.
  private static let program = #"""
    import base64, http.client, json, os, subprocess, sys, time
    base = "/2018-06-01/runtime/invocation/"
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    def call(method, path, body=None):
        connection.request(method, base + path, body)
        reply = connection.getresponse()
        return reply.headers.get("Lambda-Runtime-Aws-Request-Id"), reply.read()
    helper = subprocess.Popen(["sleep", "1000"])
    open("pids", "w").write("%d %d" % (os.getpid(), helper.pid))
    notes = os.open("delivered", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    while True:
        id, event = call("GET", "next")
        kinesis = [record["kinesis"] for record in json.loads(event)["Records"]]
        texts = [base64.b64decode(one["data"]).decode() for one in kinesis]
        print("id", id, flush=True)
        if "SHOW" in os.environ: print("secret", os.environ[os.environ["SHOW"]], flush=True)
        if "hang" in texts: time.sleep(600)
        if "die" in texts: os._exit(7)
        if "raise" in texts:
            error = {"errorType": "KeyError", "errorMessage": "'dep_time'", "stackTrace": ["  File \"orders.py\", line 3\n    x"]}
            # As awslambdaric writes a traceback: one event of the log, its lines apart by carriage returns.
            print("[ERROR] KeyError: 'dep_time'\rTraceback (most recent call last):\r  File \"orders.py\", line 3", flush=True)
            call("POST", id + "/error", json.dumps(error))
            continue
        lines = ["0 %s %s %s\n" % (kinesis[0]["sequenceNumber"], one["sequenceNumber"], one["data"]) for one in kinesis]
        os.write(notes, "".join(lines).encode())
        call("POST", id + "/response", "{}")
    """#

  private static func setup(_ change: (inout Setup) -> Void = { _ in }) -> Setup {
    Setup {
      $0.command = #"["python3", "runtime.py"]"#
      $0.handlerProtocol = "lambda"
      $0.retries = 0
      change(&$0)
    }
  }

  @Test(
    "a failed invocation has Lambda's name, its traceback and its request id, and the next one goes on",
    arguments: [
      ("raise", "error", "KeyError", "'dep_time'"),
      ("die", "exit", "Runtime.ExitError", "Runtime exited with error: exit status 7"),
      ("hang", "timeout", "Sandbox.Timedout", "Task timed out after 1.00 seconds"),
    ])
  func failures(record: String, kind: String, type: String, message: String) async throws {
    try await Workplace.with(Self.setup { $0.timeout = record == "hang" ? "1s" : "30s" }) { place in
      try place.write(Self.program, to: "runtime.py")
      let worker = try await place.start()
      try await place.put(record)
      let entry = try #require(try await place.failures().first)
      let detail = try await place.ask(FailureDetail.self, "failures", "show", "\(entry.entry)")
      let attempt = try #require(detail.entry.attempts.first)
      #expect(detail.entry.attempts.count == 1)
      #expect((attempt.kind, attempt.type) == (kind, type))
      #expect(attempt.message.contains(message))
      if record == "raise" { #expect(attempt.trace.contains(#"  File "orders.py", line 3"#)) }
      #expect(try await worker.says("START RequestId: \(attempt.requestID)").contains("function=note"))
      _ = try await worker.says("id \(attempt.requestID)")
      try await place.put("good")
      try await place.isDrained()
      #expect(place.delivered.map(\.text) == ["good"])
      #expect(await worker.drain() == 0)
    }
  }

  @Test("a worker that is killed outright leaves no process behind, whatever the function started")
  func killed() async throws {
    try await Workplace.with(Self.setup { $0.function = ", provisioned: 1" }) { place in
      try place.write(Self.program, to: "runtime.py")
      let worker = try await place.start()
      try await place.put("good")
      try await place.isDrained()
      let text = try String(contentsOf: place.folder.appending(path: "pids"), encoding: .utf8)
      let pids = text.split(separator: " ").compactMap { Int32($0) }
      #expect(pids.count == 2)
      #expect(pids.allSatisfy(Self.isRunning))
      await worker.kill()
      _ = try await eventually("the function and its helper are gone") {
        pids.contains(where: Self.isRunning) ? nil : true
      }
    }
  }

  @Test("code comes from an archive, and another archive is other code")
  func archives() async throws {
    let pack = { (place: Workplace, version: String) in
      try place.write(
        Self.program.replacing("notes = os.open(\"delivered\"", with: "notes = os.open(\"../../../delivered\"")
          .replacing("print(\"id\", id", with: "print(\"version \(version)\", id"),
        to: "runtime.py")
      let packed = try await place.run([
        "/usr/bin/env", "python3", "-c",
        "import zipfile; zipfile.ZipFile('code.zip', 'w', zipfile.ZIP_DEFLATED).write('runtime.py')",
      ])
      #expect(packed.code == 0)
      try FileManager.default.removeItem(at: place.folder.appending(path: "runtime.py"))
    }
    let setup = Self.setup { $0.function = ", code: code.zip" }
    try await Workplace.with { place in
      try place.configure(setup)
      try place.write("no zip", to: "code.zip")
      let refused = try await place.sluice("invoke", "note", "sluice.yaml", "--config", "sluice.yaml")
      #expect(refused.code == 65)
      try await pack(place, "one")
      let worker = try await place.start()
      try await place.put("first")
      _ = try await worker.says("version one")
      try await place.isDrained()
      try await pack(place, "second")
      let applied = try await place.sluice("apply", "--config", "sluice.yaml", "--yes")
      #expect(applied.code == 0, "\(applied)")
      #expect(applied.output.contains("code"))
      try await place.put("second")
      _ = try await worker.says("version second")
      try await place.isDrained()
      #expect(place.delivered.map(\.text) == ["first", "second"])
      #expect(await worker.drain() == 0)
      let again = try await place.start()
      try await place.put("third")
      _ = try await again.says("version second")
      let kept = try FileManager.default.contentsOfDirectory(atPath: place.data.appending(path: "code").path)
      #expect(kept.count == 1)
      try place.write("no zip", to: "code.zip")
      let broken = try await place.sluice("apply", "--config", "sluice.yaml", "--yes")
      #expect(broken.code == 65 && broken.errors.contains("is not a zip archive"), "\(broken)")
    }
  }

  @Test("a function is invoked by hand: its response is the output, its log is beside it, its failure is the exit code")
  func invoked() async throws {
    try await Workplace.with(Self.setup()) { place in
      try place.write(Self.program, to: "runtime.py")
      try place.write(#"{"Records":[]}"#, to: "empty.json")
      // "raise" in base64.
      try place.write(#"{"Records":[{"kinesis":{"data":"cmFpc2U=","sequenceNumber":"1"}}]}"#, to: "raise.json")
      let fine = try await place.sluice("invoke", "note", "empty.json", "--config", "sluice.yaml")
      #expect(fine.code == 0)
      #expect(fine.output == "{}\n")
      #expect(fine.errors.contains("START RequestId: ") && fine.errors.contains("REPORT RequestId: "))
      let failed = try await place.sluice("invoke", "note", "raise.json", "--config", "sluice.yaml", "--quiet")
      #expect(failed.code == 1)
      #expect(failed.errors == "sluice: KeyError: 'dep_time'\n")
      #expect(
        failed.output
          == #"{"errorMessage":"'dep_time'","errorType":"KeyError","stackTrace":["  File \"orders.py\", line 3","    x"]}"#
          + "\n")
      let told = try await place.sluice("invoke", "note", "raise.json", "--config", "sluice.yaml")
      #expect(told.errors.contains("\nTraceback (most recent call last):\n  File \"orders.py\", line 3\n"), "\(told)")
      let dry = try await place.sluice("invoke", "note", "empty.json", "--config", "sluice.yaml", "--dry-run")
      #expect((dry.code, dry.output, dry.errors) == (0, "note: python3 runtime.py, 14 bytes of event\n", ""))
      let unknown = try await place.sluice("invoke", "other", "empty.json", "--config", "sluice.yaml")
      #expect(unknown.code == 65)
      let noJSON = try await place.sluice("invoke", "note", "runtime.py", "--config", "sluice.yaml")
      #expect(noJSON.code == 65)
    }
  }

  @Test("the log of a function is kept, can be read by invocation and as it grows, and holds no secret")
  func logs() async throws {
    let setup = Self.setup {
      $0.function =
        ", environment: { DB_PASSWORD: correct-horse, SHOW: DB_PASSWORD }, logEvent: true, redact: [data, eventID]"
    }
    try await Workplace.with(setup) { place in
      try place.write(Self.program, to: "runtime.py")
      let none = try await place.sluice("logs", "note")
      #expect(none.code == 65)
      let worker = try await place.start()
      let follower = try place.follow("logs", "note", "--follow")
      try await place.put("raise")
      _ = try await place.failures()
      let end = try await follower.line(containing: "Status: error\tError Type: KeyError")
      let id = try #require(end.split(separator: "\t").first?.split(separator: " ").last).description
      #expect(await worker.drain() == 0)
      let text = try await place.sluice("logs", "note", "--request", id).output
      let lines = text.split(separator: "\n").map { $0.drop { $0 != " " }.dropFirst(2) }
      #expect(lines.first == "START RequestId: \(id) Version: $LATEST")
      #expect(lines.contains("id \(id)"))
      #expect(lines.contains("secret ***"))
      #expect(lines.last?.hasPrefix("REPORT RequestId: \(id)\tDuration: ") == true)
      #expect(text.contains("\nTraceback (most recent call last):\n  File \"orders.py\", line 3\n"), "\(text)")
      let event = try #require(lines.first { $0.hasPrefix("EVENT ") })
      #expect(event.contains(#""data":"***""#) && event.contains(#""partitionKey":"k""#))
      #expect(!event.contains("cmFpc2U="))
      #expect(!worker.lines.contains { $0.contains("correct-horse") })
      let json = try await place.sluice("logs", "note", "--since", "1h", "--lines", "1", "--format", "json").output
      #expect(json.contains(#""requestId":"\#(id)""#) && json.hasPrefix(#"{"message":"REPORT "#))
      let wrong = try await place.sluice("logs", "note", "--since", "yesterday")
      #expect(wrong.code == 64)
    }
  }

  @Test("what a function does is counted: invocations, errors, starts, times, memory")
  func counted() async throws {
    try await Workplace.with(Self.setup()) { place in
      try place.write(Self.program, to: "runtime.py")
      let refused = try await place.sluice("functions")
      #expect(refused.code != 0)
      _ = try await place.start()
      try await place.put("good")
      try await place.isDrained()
      try await place.put("raise")
      _ = try await place.failures()
      try await place.isDrained()
      let reports = try await place.ask([FunctionReport].self, "functions")
      let report = try #require(reports.first)
      #expect(reports.count == 1)
      #expect((report.name, report.invocations, report.errors) == ("note", 2, ["KeyError": 1]))
      #expect((report.coldStarts, report.environments, report.concurrency) == (1, 1, 4))
      #expect((report.throttles, report.initFailures) == (0, 0))
      #expect(report.memoryMegabytes == 128 && report.largestMemoryMegabytes > 0)
      let (p50, largest) = (try #require(report.duration.p50), try #require(report.duration.largest))
      #expect(p50 > 0 && p50 <= largest)
      #expect(try #require(report.initDuration.p50) > 0)
      #expect(report.recommendedTimeoutMilliseconds == nil)
      let text = try await place.sluice("functions")
      #expect(text.output.contains("1 × KeyError"))
    }
  }

  @Test("why a function cannot be initialized is told beside how often")
  func broken() async throws {
    try await Workplace.with(Self.setup()) { place in
      try place.write("import sys\nsys.exit(3)\n", to: "runtime.py")
      _ = try await place.start()
      try await place.put("good")
      _ = try await place.failures()
      let report = try #require(try await place.ask([FunctionReport].self, "functions").first)
      #expect(report.initFailures > 0 && report.lastInitFailure?.contains("exit status 3") == true, "\(report)")
      let text = try await place.sluice("functions")
      #expect(text.output.contains("failed to initialize, the last with Runtime.ExitError: "), "\(text)")
    }
  }

  /// Whether a process is there and not just waiting to be reaped by somebody else.
  private static func isRunning(_ pid: Int32) -> Bool {
    guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
    return status.split(separator: ")").last?.hasPrefix(" Z") == false
  }
}
