import ArgumentParser
import Foundation
import Sluice

extension Failures {
  struct Redrive: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Deliver failure entries again, in order, between the batches of their shard.",
      discussion: """
        An entry that succeeds leaves the list. One that fails stays, and the later ones of its shard stay with it.

        With --rate entries go one after the other, so many records a second at most, and the command waits for each. \
        Interrupted, it is given again: what has succeeded is not on the list any more. With --to another mapping of the \
        same stream delivers them, such as one with a fixed handler.

        With --payload one record of one entry is delivered with other data, byte for byte that of the file. The preview \
        shows what changes; the audit keeps what it was. Fails it again, the entry stays with the new data. Of a change of a \
        table the file has the change with other images, as `failures show` or the handler has it, or its part dynamodb \
        alone: it is checked, and keys and what identifies the change stay.

        Examples:
          sluice failures redrive --mapping flights-delays
          sluice failures redrive 3 --payload fixed.json
          sluice failures redrive --mapping flights-delays --yes
          sluice failures redrive --mapping flights-delays --key AA123 --yes
          sluice failures redrive --mapping flights-delays --rate 50/s --yes
          sluice failures redrive --mapping flights-delays --to flights-delays-v2 --yes
        """)
    @Argument(help: "The number of an entry; the same as --entry.") var entry: UInt64?
    @OptionGroup var selection: Selection
    @Option(help: "A file with other data for the record of the entry, or - for standard input.") var payload: String?
    @Option(help: "With --payload: the sequence number of the record, if the entry has several.") var record: String?
    @Option(help: "At most so many records a second, such as 50/s.") var rate: String?
    @Option(help: "The mapping that delivers them; it runs and reads the same stream. Default: that of each entry.")
    var to: String?
    @OptionGroup var store: DataOptions
    @OptionGroup var consent: ConsentOptions

    func validate() throws {
      if payload != nil, chosen.entries.count != 1 {
        throw ValidationError("--payload goes with one entry: sluice failures redrive 3 --payload FILE.")
      }
      if payload != nil, rate != nil { throw ValidationError("--payload is of one entry: it has no --rate.") }
      if record != nil, payload == nil { throw ValidationError("--record says whose payload is given: add --payload.") }
      if let rate, Self.recordsPerSecond(rate) == nil {
        throw ValidationError("--rate is \(rate): write records a second, such as 50/s, from 0.001 to 1000000.")
      }
    }

    static func recordsPerSecond(_ text: String) -> Double? {
      guard text.hasSuffix("/s"), let rate = Double(text.dropLast(2)), (0.001...1_000_000).contains(rate) else {
        return nil
      }
      return rate
    }

    /// What is selected, with the entry that is named.
    private var chosen: FailureQuery {
      var query = selection.query
      if let entry, !query.entries.contains(entry) { query.entries.append(entry) }
      return query
    }

    private func edited() throws -> EditedPayload? {
      guard let payload else { return nil }
      do {
        let data =
          payload == "-"
          ? try FileHandle.standardInput.readToEnd() ?? Data() : try Data(contentsOf: URL(filePath: payload))
        return EditedPayload(
          record: record, data: data, file: payload == "-" ? "of standard input" : payload)
      } catch {
        throw Problem(Exit.badInput, "--payload is \(payload): it cannot be read: \(error.localizedDescription)")
      }
    }

    func run() async throws {
      let edited = try edited()
      let worker = try await Connection.act(on: store.dataDirectory)
      if let rate = rate.flatMap(Self.recordsPerSecond), consent.yes { return try await redrive(at: rate, worker) }
      let request = OperatorRequest.redrive(chosen, to: to, payload: edited, consent: consent.value)
      let answer = await worker.perform(request)
      guard case .action(var report) = answer else { throw Problem(answer) }
      if let rate { report.effects.append("one entry after the other, at most \(rate.dropLast(2)) records a second") }
      try report.print(isJSON: store.output.isJSON)
    }

    // MARK: - At a rate

    private struct Report: Encodable {
      var succeeded: [UInt64]
      var failed: [UInt64]
      /// Behind one that failed.
      var left: [UInt64]
      var records: Int
    }

    private func redrive(at rate: Double, _ worker: any Operating) async throws {
      let answer = await worker.perform(.listFailures(chosen))
      guard case .failures(let entries) = answer else { throw Problem(answer) }
      var pace = PacedRedrive(entries, recordsPerSecond: rate)
      var line = ProgressLine(isQuiet: store.output.isJSON)
      let speed = Pace()
      let clock = ContinuousClock()
      let begin = clock.now
      steps: while true {
        switch pace.next(at: begin.duration(to: clock.now)) {
        case .done: break steps
        case .wait(let until): try await clock.sleep(until: begin.advanced(by: until))
        case .redrive(let entry):
          let done = pace.succeeded.count + pace.failed.count
          line.show(
            "entry \(entry.entry); \(Text.count(pace.succeeded.count)) done, \(Text.count(pace.failed.count)) failed, "
              + "\(Text.count(pace.waitingCount)) to go, "
              + speed.rate(done) + speed.left(done, of: entries.count))
          pace.end(entry, succeeded: try await redrive(entry, worker))
        }
      }
      line.clear()
      try print(pace, of: entries.count)
    }

    /// Whether it succeeded; returns when that is known. A redrive that was put off, as when its mapping was closed for a
    /// moment, is ordered again.
    private func redrive(_ entry: FailureReport, _ worker: any Operating) async throws -> Bool {
      let query = FailureQuery(entries: [entry.entry])
      while let former = try await find(query, worker) {
        let answer = await worker.perform(.redrive(query, to: to, consent: consent.value))
        guard case .action = answer else {
          // Somebody else was quicker.
          if try await find(query, worker) == nil { return true }
          throw Problem(answer)
        }
        var now = former
        while now.lastRedriveAt == former.lastRedriveAt {
          try await Task.sleep(for: .milliseconds(50))
          guard let found = try await find(query, worker) else { return true }
          now = found
        }
        if now.redrives > former.redrives { return false }
        try await Task.sleep(for: .milliseconds(500))
      }
      return true
    }

    /// `nil`: it is on the list no more.
    private func find(_ query: FailureQuery, _ worker: any Operating) async throws -> FailureReport? {
      switch await worker.perform(.listFailures(query)) {
      case .failures(let entries): return entries.first
      case .refused(let refusal) where refusal.reason == .badInput: return nil
      case let answer: throw Problem(answer)
      }
    }

    private func print(_ pace: PacedRedrive, of count: Int) throws {
      if store.output.isJSON {
        try printJSON(
          Report(
            succeeded: pace.succeeded, failed: pace.failed, left: pace.left, records: pace.succeededRecords))
      } else if count == 0 {
        Swift.print("No failure entry matches.")
      } else {
        Swift.print(
          "\(Text.count(pace.succeeded.count)) of \(Text.count(count)) entries succeeded, \(Text.records(pace.succeededRecords)); "
            + "\(Text.count(pace.failed.count)) failed, \(Text.count(pace.left.count)) behind them stay")
      }
      if !pace.failed.isEmpty { throw Problem(Exit.failed, "Entries that failed again: see sluice failures list.") }
    }
  }

  struct Export: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write failure entries with all their records as JSON lines.",
      discussion: """
        One object a line, as sluice failures show --format json prints it. The entries stay. An interrupted export has \
        whole lines as far as it came.

        Examples:
          sluice failures export --mapping flights-delays -o failures.ndjson
          sluice failures export | jq -r '.records[].text'
        """)
    @OptionGroup var selection: Selection
    @Option(name: .shortAndLong, help: "The file to write, which must not be there; without it, standard output.")
    var output: String?
    @Option(name: .customLong("data"), help: "The data directory. Also: SLUICE_DATA.") var data: String?

    func run() async throws {
      let directory = data ?? ProcessInfo.processInfo.environment["SLUICE_DATA"] ?? "./sluice-data"
      let source = try await Connection.look(at: directory)
      let answer = await source.perform(.listFailures(selection.query))
      guard case .failures(let entries) = answer else { throw Problem(answer) }
      let file = try output.map(Self.create) ?? FileHandle.standardOutput
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
      var line = ProgressLine(isQuiet: output == nil)
      var count = 0
      for entry in entries {
        let answer = await source.perform(.showFailure(entry: entry.entry))
        if case .refused(let refusal) = answer, refusal.reason == .badInput { continue }  // It has left the list.
        guard case .failure(let report, let records) = answer else { throw Problem(answer) }
        try file.write(contentsOf: encoder.encode(FailureDetail(entry: report, records: records)) + Data("\n".utf8))
        count += 1
        line.show("\(Text.count(count)) of \(Text.count(entries.count)) entries")
      }
      line.clear()
      if let output { print("\(Text.count(count)) entr\(count == 1 ? "y" : "ies") in \(output)") }
    }

    private static func create(_ path: String) throws -> FileHandle {
      do {
        try Data().write(to: URL(filePath: path), options: .withoutOverwriting)
        return try FileHandle(forWritingTo: URL(filePath: path))
      } catch {
        throw Problem(Exit.badInput, "-o is \(path): it cannot be written: \(error.localizedDescription)")
      }
    }
  }
}
