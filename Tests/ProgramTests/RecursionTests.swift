import Foundation
import Sluice
import Testing

/// A function whose output feeds its own input.
@Suite("Recursion", .timeLimit(.minutes(10)))
struct RecursionTests {
  /// A runtime of its own: puts each record that it gets back into its stream, by the port or by the command, and passes the
  /// trace header on.
  private static let runtime = """
    import base64, http.client, json, os, struct, subprocess
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    def call(method, path, body=None):
        api.request(method, "/2018-06-01/runtime/invocation/" + path, body)
        answer = api.getresponse()
        return answer, answer.read()
    while True:
        head, event = call("GET", "next")
        trace = head.headers["Lambda-Runtime-Trace-Id"]
        datas = [base64.b64decode(one["kinesis"]["data"]) for one in json.loads(event)["Records"]]
        with open("traces", "a") as traces: traces.write(trace + "\\n")
        if os.environ["WAY"] == "port":
            worker = http.client.HTTPConnection(open("address").read())
            body = b"".join(struct.pack("<IIHH", 0, len(data), 1, 0) + b"k" + data for data in datas)
            worker.request("POST", "/v1/streams/numbers/records", body, {"X-Amzn-Trace-Id": trace})
            assert b"stored" in worker.getresponse().read()
        else:
            subprocess.run(
                [os.environ["SLUICE"], "put", "numbers", "--partition-key", "k"], input=b"\\n".join(datas), check=True,
                env=dict(os.environ, _X_AMZN_TRACE_ID=trace), stdout=subprocess.DEVNULL)
        call("POST", head.headers["Lambda-Runtime-Aws-Request-Id"] + "/response", b"{}")
    """

  /// The same as a program that reads lines.
  private static let reader = """
    import base64, json, os, subprocess, sys
    for line in sys.stdin:
        event = json.loads(line)
        trace = event["sluice"]["traceId"]
        with open("traces", "a") as traces: traces.write(trace + "\\n")
        subprocess.run(
            [os.environ["SLUICE"], "put", "numbers", "--partition-key", "k"], check=True,
            input=b"\\n".join(base64.b64decode(one["kinesis"]["data"]) for one in event["Records"]),
            env=dict(os.environ, _X_AMZN_TRACE_ID=trace), stdout=subprocess.DEVNULL)
        print("{}", flush=True)
    """

  private static func yaml(_ place: Workplace, way: String, _ settings: String = "") -> String {
    """
    streams:
      - { name: numbers, shards: 1 }
    functions:
      - name: echo
        command: [python3, echo.py]
        timeout: 60s
        protocol: \(way == "lines" ? "lines" : "lambda")
        environment: { WAY: \(way), SLUICE: "\(Program.path)", SLUICE_DATA: "\(place.data.path)" }
    mappings:
      - { stream: numbers, function: echo\(settings) }

    """
  }

  @Test(
    "what comes round for the 17th time leaves to the failures, whichever way it was put",
    arguments: [("port", "", 16), ("command", ", recursiveLoopLimit: 3", 3), ("lines", ", recursiveLoopLimit: 4", 4)])
  func stopped(way: String, settings: String, limit: Int) async throws {
    try await Workplace.with { place in
      try place.write(Self.yaml(place, way: way, settings), to: "sluice.yaml")
      try place.write(way == "lines" ? Self.reader : Self.runtime, to: "echo.py")
      let worker = try await place.start()
      try place.write(worker.address, to: "address")
      try await place.put("round and round")
      let entry = try #require(try await place.failures().first)
      #expect((entry.condition, entry.attempts.count) == ("RecursiveInvocation", 1))
      #expect(entry.attempts.first?.type == "RecursiveInvocationException")
      #expect(entry.attempts.first?.message.contains("come from \(limit) invocations") == true)
      let traces = place.lines(of: "traces")
      #expect(traces.count == limit)
      for (number, trace) in traces.enumerated() { #expect(trace.hasSuffix(":\(number + 1)")) }
      let metrics = try await worker.get("/metrics").text
      #expect(metrics.contains(/RecursiveInvocationsDropped\{[^}]*\} 1\n/))
      let lanes = try await place.lanes()
      #expect(lanes.first?.backlogRecords == 0)
    }
  }

  @Test("a lineage that cannot be read is refused with its value")
  func malformed() async throws {
    try await Workplace.with { place in
      _ = try await place.start()
      let ended = try await place.sluice(
        "put", "numbers", "sluice.yaml", "--partition-key", "k", environment: ["_X_AMZN_TRACE_ID": "Lineage=nonsense"])
      #expect(ended.code == 65)
      #expect(ended.errors.contains("Lineage is nonsense"))
    }
  }
}
