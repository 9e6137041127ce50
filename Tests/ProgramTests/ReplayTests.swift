import Foundation
import Replays
import Testing

/// The story of a fixed handler: record, replay with the old one and the new one.
@Suite("Replays of recordings", .timeLimit(.minutes(10)))
struct ReplayTests {
  private static let flights = Program.root.appending(path: "Examples/flights")

  private static let configuration = """
    streams:
      - { name: flights, shards: 4 }
    functions:
      - { name: delays, command: ["python3", "delays.py"], protocol: lines, directory: "\(flights.path)", concurrency: 4 }
      - { name: fixed, command: ["python3", "delays_fixed.py"], protocol: lines, directory: "\(flights.path)", concurrency: 4 }
    mappings:
      - stream: flights
        function: delays
        StartingPosition: TRIM_HORIZON
        BatchSize: 20
        MaximumRetryAttempts: 7
        BisectBatchOnFunctionError: true

    """

  @Test(
    "the old handler gives up the cancelled flights, the new one none; the same seed gives the same bytes"
  )
  func flights() async throws {
    try await Workplace.with { place in
      try place.write(Self.configuration, to: "flights.yaml")
      let sample = Self.flights.appending(path: "flights-sample.ndjson")
      let lines = try String(contentsOf: sample, encoding: .utf8).split(separator: "\n")
      let cancelled = lines.count { $0.contains(#""dep_time":null"#) }
      for arguments in [
        [
          "put", "flights", sample.path, "--key-field", "tailnum", "--missing-key", "none",
          "--create-shards", "4",
        ],
        ["record", "flights", "-o", "flights.recording"],
      ] {
        let ended = try await place.sluice(arguments)
        #expect(ended.code == 0, "\(ended)")
      }
      // Out of the store, without a file, it is the same.
      for source in [["flights.recording"], ["--stream", "flights"]] {
        let name = "\(source[0]).run"
        let ended = try await place.sluice(
          ["replay"] + source + ["--config", "flights.yaml", "--function", "fixed", "-o", "./\(name)"])
        #expect(ended.code == 0, "\(ended)")
      }
      #expect(
        try Data(contentsOf: place.folder.appending(path: "--stream.run"))
          == Data(contentsOf: place.folder.appending(path: "flights.recording.run")))
      // From here on nothing needs the store.
      try FileManager.default.removeItem(at: place.data)
      let replay = [
        "replay", "flights.recording", "--config", "flights.yaml", "--format", "json", "-o",
      ]
      func end(_ arguments: [String]) async throws -> RunEnd {
        let ended = try await place.sluice(replay + arguments)
        guard ended.code == 0 else { throw NotHappened(description: "\(ended)") }
        return try JSONDecoder().decode(RunEnd.self, from: Data(ended.output.utf8))
      }
      func bytes(_ name: String) throws -> Data {
        try Data(contentsOf: place.folder.appending(path: name))
      }
      let old = try await end(["old.run"])
      #expect(
        old.records == UInt64(lines.count) && old.leftRecords == UInt64(cancelled) && cancelled > 0,
        "\(old)")
      #expect(old.failures > UInt64(8 * cancelled) && old.milliseconds > 30_000, "\(old)")
      _ = try await end(["again.run"])
      #expect(try bytes("old.run") == bytes("again.run"))
      // A run file may be compressed; it is never written over what is replayed.
      _ = try await end(["old.run.zst"])
      let packed = try await place.sluice("diff", "old.run", "old.run.zst")
      #expect(packed.code == 0, "\(packed)")
      let recording = try bytes("flights.recording")
      let same = try await place.sluice(replay + ["./flights.recording", "--overwrite"])
      #expect(same.code == 64 && same.errors.contains("which is what is replayed"), "\(same)")
      #expect(try bytes("flights.recording") == recording)
      let new = try await end(["new.run", "--function", "fixed"])
      #expect(new.records == old.records && new.leftRecords == 0 && new.failures == 0, "\(new)")
      let command = try await end([
        "command.run", "--command", "python3 \(Self.flights.path)/delays_fixed.py",
      ])
      #expect(command == new)
      #expect(!FileManager.default.fileExists(atPath: place.data.path))
      // In real time, which does not decide what becomes of the records: a minute and a half of waits.
      let real = try await end(["real.run", "--speed", "50"])
      #expect(real.records == old.records && real.leftRecords == old.leftRecords, "\(real)")
      #expect(real.milliseconds > 30_000 && real.greatestLagMilliseconds != nil, "\(real)")
      let compared = try await place.sluice("diff", "old.run", "real.run", "--format", "json")
      let reality = try JSONDecoder().decode(RunDifference.self, from: Data(compared.output.utf8))
      #expect(reality.newlyFailing.isEmpty && reality.newlySucceeding.isEmpty && reality.failingOtherwise.isEmpty)

      // Exactly the cancelled flights are what the new handler makes better.
      let alike = try await place.sluice("diff", "old.run", "again.run")
      #expect(alike.code == 0 && alike.output.contains("every record came to the same"), "\(alike)")
      let ended = try await place.sluice("diff", "old.run", "new.run", "--format", "json")
      let difference = try JSONDecoder().decode(RunDifference.self, from: Data(ended.output.utf8))
      #expect(ended.code == 1 && difference.newlyFailing.isEmpty && difference.failingOtherwise.isEmpty)
      #expect(difference.newlySucceeding.reduce(0) { $0 + $1.count } == UInt64(cancelled))
      #expect(difference.newlySucceeding.allSatisfy { $0.before.contains("TypeError") && $0.after == "succeeded" })
      // Each of them is named as in the recording and in the store.
      let named = try await place.sluice(
        "diff", "old.run", "new.run", "--recording", "flights.recording", "--format", "json")
      let names = try JSONDecoder().decode(RunDifference.self, from: Data(named.output.utf8))
        .newlySucceeding.flatMap(\.names)
      #expect(names.count == cancelled)
      let recorded = place.lines(of: "flights.recording")
      for name in names {
        let line = try #require(recorded.first { $0.contains("\"\(name.sequenceNumber)\"") })
        #expect(line.contains("\"index\":\(name.index),") && line.contains("\"key\":\"\(name.partitionKey ?? "")\""))
        #expect(line.contains("\"dep_time\":null"))
      }
      let text = try await place.sluice("diff", "new.run", "old.run")
      #expect(text.code == 1 && text.output.contains("\(cancelled) records no longer succeed"), "\(text)")
      let page = try await place.sluice("diff", "old.run", "new.run", "--html", "changes.html")
      let html = try String(contentsOf: place.folder.appending(path: "changes.html"), encoding: .utf8)
      #expect(page.code == 1 && html.contains("\(cancelled) records newly succeed") && html.contains("<svg"))
      // What is measured makes no difference.
      _ = try await end(["measured.run", "--measure"])
      let measured = try await place.sluice("diff", "measured.run", "measured.run", "--format", "json")
      let measures = try JSONDecoder().decode(RunDifference.self, from: Data(measured.output.utf8))
      #expect(measured.code == 0 && measures.durations.allSatisfy { ($0?.median ?? 0) > 0 }, "\(measured)")
      #expect(measures.durations.allSatisfy { ($0?.peakMemoryBytes ?? 0) > 1 << 20 }, "\(measured)")
      let again = try await place.sluice("diff", "old.run", "measured.run")
      #expect(again.code == 0, "\(again)")
      let broken = try await place.sluice("diff", "flights.recording", "old.run")
      #expect(broken.code == 65 && broken.errors.contains("--outcomes makes one that does"), "\(broken)")
    }
  }

  @Test("pages of AWS are replayed as they are: the handler sees and reports their sequence numbers")
  func imported() async throws {
    try await Workplace.with { place in
      // Fails at the record that says so, by the number that AWS gave it.
      try place.write(
        """
        import base64, json, sys
        for line in sys.stdin:
            bad = [r["kinesis"]["sequenceNumber"] for r in json.loads(line)["Records"]
                   if base64.b64decode(r["kinesis"]["data"]) == b"bad" and r["eventID"].endswith(r["kinesis"]["sequenceNumber"])]
            print(json.dumps({"batchItemFailures": [{"itemIdentifier": n} for n in bad]}), flush=True)

        """, to: "report.py")
      try place.write(
        """
        streams:
          - { name: orders, shards: 1 }
        functions:
          - { name: report, command: ["python3", "report.py"], protocol: lines, directory: "\(place.folder.path)" }
        mappings:
          - stream: orders
            function: report
            StartingPosition: TRIM_HORIZON
            MaximumRetryAttempts: 1
            FunctionResponseTypes: [ReportBatchItemFailures]

        """, to: "orders.yaml")
      let number = "4959033827154464145519" + "7356210238218325000000000000000000"
      let records = (0..<4).map { place in
        #"{"SequenceNumber":"\#(number.dropLast(2))0\#(place)","ApproximateArrivalTimestamp":1789649400.5,"#
          + #""Data":"\#(place == 3 ? "YmFk" : "Z29vZA==")","PartitionKey":"k"}"#
      }
      try place.write(#"{"Records":[\#(records.joined(separator: ","))],"MillisBehindLatest":0}"#, to: "page.json")
      let replay = ["--config", "orders.yaml", "--format", "json", "-o"]
      let direct = try await place.sluice(["replay", "page.json"] + replay + ["direct.run"])
      #expect(direct.code == 0, "\(direct)")
      let end = try JSONDecoder().decode(RunEnd.self, from: Data(direct.output.utf8))
      #expect(end.records == 4 && end.leftRecords == 1 && end.unsettledLanes == [], "\(end)")
      let recorded = try await place.sluice("record", "orders", "--import", "page.json", "-o", "orders.recording")
      #expect(recorded.code == 0 && recorded.output.contains("4 records of 1 shard recorded"), "\(recorded)")
      let through = try await place.sluice(["replay", "orders.recording"] + replay + ["recorded.run"])
      #expect(through.code == 0, "\(through)")
      let runs = try ["direct.run", "recorded.run"].map {
        try Data(contentsOf: place.folder.appending(path: $0))
      }
      #expect(runs[0] == runs[1])
    }
  }

  @Test("a handler that cannot be started is told, and nobody waits until it is started again")
  func cannotStart() async throws {
    try await Workplace.with { place in
      func configuration(_ protocolName: String) -> String {
        """
        streams:
          - { name: flights, shards: 1 }
        functions:
          - { name: none, command: ["true"], protocol: \(protocolName) }
        mappings:
          - { stream: flights, function: none }

        """
      }
      try place.write(#"{"at":1789649400,"flight":"UA 1"}"# + "\n", to: "one.ndjson")
      let replay = [
        "replay", "one.ndjson", "--key-field", "flight", "--time-field", "at", "--time-unit", "s", "--config",
        "flights.yaml",
      ]
      // Retries would go on for a day of virtual time, and in real time there would be seconds between two of them.
      for (protocolName, command, words) in [
        ("lines", "no-such-program", "no-such-program: not found"),
        ("lines", "python3 no-such-file.py", "can't open file"),
        ("lambda", "no-such-program", "no-such-program: not found"),
      ] {
        try place.write(configuration(protocolName), to: "flights.yaml")
        let ended = try await place.sluice(replay + ["--command", command, "-o", "never.run", "--overwrite"])
        #expect(ended.code == 65 && ended.output == "", "\(ended)")
        #expect(ended.errors.contains("the handler \(command) cannot start, so nothing can be replayed: "), "\(ended)")
        #expect(ended.errors.contains(words), "\(ended)")
        // It never came to an attempt that is due after an hour.
        let lines = place.lines(of: "never.run").count
        #expect(lines < 200, "\(lines)")
      }
      // One that ends with the record it gets has started: it is asked as often as its mapping says.
      try place.write(configuration("lines"), to: "flights.yaml")
      let dying = try await place.sluice(replay + ["--command", "sh -c 'read -r event; exit 3'"])
      #expect(dying.code == 1 && dying.errors.contains("not settled a day after the last record"), "\(dying)")
      #expect(dying.output.contains("the last failure: Runtime.ExitError: the process ended with"), "\(dying)")
      let nothing = try await place.sluice(replay + ["--from", "2027-01-01T00:00:00Z"])
      #expect(nothing.code == 0 && nothing.output.contains("there was no record to replay"), "\(nothing)")
    }
  }

  @Test("code out of an archive is unpacked away from the store, and removed; a command takes its place")
  func archive() async throws {
    try await Workplace.with { place in
      let packed = try await place.run([
        "/usr/bin/env", "python3", "-c",
        "import zipfile; zipfile.ZipFile('code.zip', 'w').write('\(Self.flights.path)/delays_fixed.py', 'fixed.py')",
      ])
      #expect(packed.code == 0, "\(packed)")
      try place.write(
        """
        store: { path: \(place.data.path) }
        streams:
          - { name: flights, shards: 1 }
        functions:
          - { name: fixed, command: ["python3", "fixed.py"], protocol: lines, code: code.zip }
        mappings:
          - { stream: flights, function: fixed, MaximumRetryAttempts: 0 }

        """, to: "flights.yaml")
      let temporary = place.folder.appending(path: "temporary")
      try FileManager.default.createDirectory(at: temporary, withIntermediateDirectories: false)
      for more in [[], ["--command", "python3 \(Self.flights.path)/delays_fixed.py"]] {
        let ended = try await place.run(
          [
            "/usr/bin/env", "TMPDIR=\(temporary.path)", Program.path, "replay",
            Self.flights.appending(path: "flights-sample.ndjson").path, "--key-field", "tailnum", "--missing-key",
            "none",
            "--time-field", "year", "--config", "flights.yaml",
          ] + more)
        #expect(ended.code == 0 && ended.output.contains("every record succeeded"), "\(ended)")
      }
      #expect(!FileManager.default.fileExists(atPath: place.data.path))
      #expect(try FileManager.default.contentsOfDirectory(atPath: temporary.path) == [])
    }
  }

  @Test("the load test replays every record of its recording, and as many retries as it was asked for")
  func bench() async throws {
    struct Line: Decodable {
      var name: String
      var records: Int
      var shards: Int?
      var recordsPerSecond: Double
    }
    try await Workplace.with { place in
      func line(_ arguments: [String]) async throws -> Line {
        let ended = try await place.sluice(
          ["bench", "replay", "--runs", "1", "--format", "json", "--directory", place.folder.path] + arguments)
        guard ended.code == 0 else { throw NotHappened(description: "\(ended)") }
        return try JSONDecoder().decode(Line.self, from: Data(ended.output.utf8))
      }
      let plain = try await line(["--records", "3001", "--shards", "3"])
      #expect(plain.records == 3_001 && plain.shards == 3 && plain.recordsPerSecond > 0)
      // Two records, each of which is tried once and then again for a day.
      let retries = try await line(["--retries", "2000"])
      #expect(retries.records == 2 * 1_431 && retries.shards == 2)
      try place.write(#"{"k":"a","t":1}\#n{"k":"b","t":2}\#n{"k":"c","t":3}\#n"#, to: "lines.ndjson")
      let imported = try await place.sluice(
        "record", "orders", "--import", "lines.ndjson", "--key-field", "k", "--time-field", "t", "-o", "lines.recording"
      )
      #expect(imported.code == 0, "\(imported.errors)")
      let given = try await line(["--recording", place.folder.appending(path: "lines.recording").path])
      #expect(given.records == 3 && given.recordsPerSecond > 0)
      let left = try FileManager.default.contentsOfDirectory(atPath: place.folder.path)
      #expect(!left.contains { $0.hasPrefix("sluice-bench") })
    }
  }

  @Test("a mapping does not replay a recording of the other kind of stream")
  func otherKind() async throws {
    try await Workplace.with { place in
      let items = Self.configuration.replacing("name: flights,", with: "name: flights, kind: dynamodb,")
      try place.write(items, to: "table.yaml")
      try place.write(Self.configuration, to: "flights.yaml")
      try place.write(#"{"tailnum":"N1","t":1}\#n"#, to: "lines.ndjson")
      let change =
        #"{"ApproximateCreationDateTime":1789649400,"Keys":{"k":{"S":"a"}},"SequenceNumber":"111111111111111111111","#
        + #""SizeBytes":3,"StreamViewType":"KEYS_ONLY"}"#
      try place.write(#"{"Records":[{"eventName":"REMOVE","dynamodb":\#(change)}]}"#, to: "changes.json")
      for (file, more, configuration, text) in [
        ("lines.ndjson", ["--key-field", "tailnum", "--time-field", "t"], "table.yaml", "says is of kind dynamodb"),
        ("changes.json", [], "flights.yaml", "says is of kind kinesis"),
      ] {
        let ended = try await place.sluice(["replay", file, "--config", configuration] + more)
        #expect(ended.code == 65, "\(ended)")
        #expect(ended.errors.contains("mapping flights-delays is one of stream flights"), "\(ended)")
        #expect(ended.errors.contains(text) && ended.errors.contains("events of another form"), "\(ended)")
        let other = configuration == "table.yaml" ? "flights.yaml" : "table.yaml"
        let taken = try await place.sluice(
          ["replay", file, "--config", other, "--command", "sh -c 'while read -r e; do echo {}; done'"] + more)
        #expect(taken.code == 0, "\(taken)")
      }
    }
  }

  @Test("what cannot be replayed is refused with its reason")
  func refusals() async throws {
    try await Workplace.with { place in
      try place.write(Self.configuration, to: "flights.yaml")
      try place.write("{\"recording\":9}\n", to: "newer")
      try place.write("not a recording\n", to: "other")
      let cases: [([String], Int32, String)] = [
        (["newer"], 65, "it is of format 9, and this program reads formats 1 to 2"),
        (["other"], 65, "other: byte 0, line 1, record 1: this is neither a recording nor a file"),
        (["missing"], 65, "missing: No such file"),
        (
          ["other", "--speed", "0.01"], 64,
          "--speed is 0.01: allowed are virtual, max, and how many times as fast as it was, from 0.1 to 1000"
        ),
        (["other", "--speed", "nan"], 64, "--speed is nan"), (["other", "--speed", "2x"], 64, "--speed is 2x"),
        (["other", "--speed", "2", "--takes", "1s"], 64, "a delivery takes as long as it really does"),
        ([], 64, "either a recording or --stream"), (["other", "--stream", "s"], 64, "either a recording or --stream"),
        (["--stream", "s", "--skip-bad", "1"], 64, "go with a file"),
        (["--stream", "s", "--data", "nowhere"], 65, "there is no store at nowhere"),
      ]
      for (arguments, code, text) in cases {
        let ended = try await place.sluice(["replay"] + arguments + ["--config", "flights.yaml"])
        #expect(ended.code == code && ended.errors.contains(text), "\(arguments): \(ended)")
      }
    }
  }
}
