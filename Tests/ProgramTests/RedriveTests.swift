import Foundation
import Sluice
import StreamModel
import Testing

@Suite("Failures are exported, and redriven at a rate or by another mapping", .timeLimit(.minutes(10)))
struct RedriveTests {
  private struct Exported: Decodable {
    var entry: FailureReport
    var records: [FailedRecord]
  }

  private struct Paced: Decodable {
    var succeeded: [UInt64]
    var failed: [UInt64]
    var left: [UInt64]
    var records: Int
  }

  /// The handler's own mapping, and one of another function that only notes.
  private static func setup(fails: Bool) -> Setup {
    Setup {
      $0.batchSize = 1
      $0.retries = 0
      $0.command = fails ? #"["sh", "-c", "while read -r e; do echo no; done"]"# : #"["python3", "handler.py"]"#
    }
  }

  @Test("at a rate one entry goes after the other; one that fails keeps back those behind it, and the rest goes later")
  func rate() async throws {
    try await Workplace.with(Self.setup(fails: true)) { place in
      let worker = try await place.start()
      try await place.put("one", "two", "three")
      try await place.isDrained()
      let export = try await place.sluice("failures", "export", "-o", "failures.ndjson")
      #expect(export.code == 0, "\(export)")
      let text = try String(contentsOf: place.folder.appending(path: "failures.ndjson"), encoding: .utf8)
      let exported = try text.split(separator: "\n").map {
        try JSONDecoder().decode(Exported.self, from: Data($0.utf8))
      }
      #expect(exported.flatMap(\.records).map(\.text) == ["one", "two", "three"])
      #expect(try await place.sluice("failures", "export", "-o", "failures.ndjson").code == 65)

      // It fails still.
      let again = try await place.sluice(
        "failures", "redrive", "--rate", "100/s", "--yes", "--format", "json")
      #expect(again.code == 1)
      let failed = try JSONDecoder().decode(Paced.self, from: Data(again.output.utf8))
      #expect(failed.failed == [exported[0].entry.entry] && failed.left.count == 2 && failed.succeeded.isEmpty)
      #expect(await worker.drain() == 0)

      try place.configure(Self.setup(fails: false))
      _ = try await place.start(life: 1)
      let begin = ContinuousClock.now
      let paced = try await place.ask(Paced.self, "failures", "redrive", "--rate", "4/s", "--yes")
      #expect(paced.succeeded.count == 3 && paced.records == 3 && paced.failed.isEmpty)
      // The third begins half a second after the first.
      #expect(ContinuousClock.now - begin >= .milliseconds(500))
      #expect(place.delivered.map(\.text) == ["one", "two", "three"])
      #expect(try await place.ask([FailureReport].self, "failures", "list").isEmpty)
      for rate in ["fast", "0/s", "1e-300/s", "nan/s", "1e9/s"] {
        #expect(try await place.sluice("failures", "redrive", "--rate", rate).code == 64)
      }
    }
  }

  @Test("another mapping of the stream delivers what one has given up")
  func otherMapping() async throws {
    try await Workplace.with(Self.setup(fails: true)) { place in
      try place.write(
        Self.setup(fails: true).yaml
          .replacing(
            "mappings:",
            with: """
                - { name: fixed, command: ["python3", "handler.py"], protocol: lines }
                - { name: shade, command: ["cat"], protocol: lines }
              mappings:
                - { stream: numbers, function: shade, shadow: true, StartingPosition: LATEST }
                - { stream: numbers, function: fixed, StartingPosition: LATEST }
              """), to: "sluice.yaml")
      _ = try await place.start()
      try await place.put("one", "two")
      _ = try await eventually("both gave up") {
        try await place.ask([FailureReport].self, "failures", "list").count == 2 ? true : nil
      }
      _ = try await eventually("the other has them") { place.delivered.count == 2 ? true : nil }
      let refused = try await place.sluice("failures", "redrive", "--to", "none", "--yes")
      #expect(refused.code == 65)
      // Its answer would take them off the list.
      let shadow = try await place.sluice("failures", "redrive", "--to", "numbers-shade", "--yes")
      #expect(shadow.code == 65)
      #expect(shadow.errors.contains("Mapping numbers-shade is a shadow"))
      #expect(try await place.ask([FailureReport].self, "failures", "list").count == 2)
      let done = try await place.ask(ActionReport.self, "failures", "redrive", "--to", "numbers-fixed", "--yes")
      #expect(done.records == 2)
      _ = try await eventually("the list is empty") {
        try await place.ask([FailureReport].self, "failures", "list").isEmpty ? true : nil
      }
      #expect(place.delivered.map(\.text) == ["one", "two", "one", "two"])
      let audit = try await place.ask([AuditReport].self, "audit")
      #expect(audit.map(\.action) == ["redrive", "redrive"])
      #expect(audit.allSatisfy { $0.subject.hasPrefix("entry ") && $0.detail.hasPrefix("numbers-fixed ") })
    }
  }

  @Test("a record is redriven with another payload: the preview shows what changes, the audit keeps what it was")
  func edited() async throws {
    let setup = Setup {
      $0.batchSize = 1
      $0.retries = 0
    }
    try await Workplace.with(setup) { place in
      _ = try await place.start()
      try await place.put("raise", "fine")
      try await place.isDrained()
      try place.write("mended", to: "payload")
      let preview = try await place.sluice("failures", "redrive", "1", "--payload", "payload")
      #expect(preview.code == 0 && preview.output.contains("its payload of 5 bytes becomes one of 6"), "\(preview)")
      #expect(preview.output.contains("was      raise") && preview.output.contains("becomes  mended"), "\(preview)")
      #expect(preview.output.contains("Nothing was changed"), "\(preview)")
      let detail = try await place.sluice("failures", "show", "1")
      #expect(detail.output.contains("raise"), "\(detail)")

      let done = try await place.sluice("failures", "redrive", "1", "--payload", "payload", "--yes")
      #expect(done.code == 0, "\(done)")
      _ = try await eventually("the entry has left the list") {
        try await place.ask([FailureReport].self, "failures", "list").isEmpty ? true : nil
      }
      #expect(place.delivered.map(\.text) == ["fine", "mended"])
      let audit = try await place.ask([AuditReport].self, "audit")
      #expect(audit.map(\.action) == ["redrive", "edit"] && audit[1].detail.hasSuffix("its payload was raise"))

      // One that fails again stays as it was edited.
      try await place.put("raise")
      try await place.isDrained()
      try place.write("garbage", to: "worse")
      _ = try await place.sluice("failures", "redrive", "2", "--payload", "worse", "--yes")
      _ = try await eventually("it has failed again") {
        try await place.ask([FailureReport].self, "failures", "list").first.map { $0.redrives == 1 } == true
          ? true : nil
      }
      let stays = try await place.sluice("failures", "show", "2")
      #expect(stays.output.contains("garbage"), "\(stays)")

      for (arguments, code, text) in [
        (["2", "--payload", "worse"], Int32(65), "is the one that entry 2 has"),
        (["2", "--payload", "missing"], 65, "--payload is missing"),
        (["2", "--payload", "payload", "--record", "7"], 65, "has no record 7"),
        (["--payload", "payload"], 64, "goes with one entry"), (["2", "--record", "7"], 64, "add --payload"),
        (["2", "--payload", "payload", "--rate", "1/s"], 64, "no --rate"),
      ] {
        let ended = try await place.sluice(["failures", "redrive"] + arguments)
        #expect(ended.code == code && ended.errors.contains(text), "\(arguments): \(ended)")
      }
    }
  }
}
