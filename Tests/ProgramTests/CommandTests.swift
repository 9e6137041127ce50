import Foundation
import Sluice
import StreamStore
import Testing

@Suite("Exit codes and configuration", .timeLimit(.minutes(10)))
struct CommandTests {
  @Test(
    "wrong usage is 64",
    arguments: [
      ["nonsense"], ["status", "--nonsense"], ["skip", "numbers-note"],
      ["put", "numbers", "lines", "--partition-key", "k", "--missing-key", "m"], ["failures", "show", "first"],
    ])
  func wrongUsage(arguments: [String]) async throws {
    try await Workplace.with { place in
      let ended = try await place.sluice(arguments)
      #expect(ended.code == 64)
      #expect(!ended.errors.isEmpty)
    }
  }

  @Test("what does not exist is 65 and says what there is")
  func badInput() async throws {
    try await Workplace.with { place in
      _ = try await place.start()
      let stream = try await place.sluice("streams", "describe", "letters")
      #expect(stream.code == 65)
      #expect(stream.errors.contains("There are: numbers."))
      let mapping = try await place.sluice("explain", "letters-note")
      #expect(mapping.code == 65)
      #expect(mapping.errors.contains("There are: numbers-note."))
      #expect(try await place.sluice("failures", "show", "1").code == 65)
      #expect(try await place.sluice("explain", "numbers-note", "--shard", "9").code == 65)
      #expect(try await place.sluice("put", "numbers", "no such file", "--partition-key", "k").code == 65)
    }
  }

  @Test("status names the port that the worker got")
  func port() async throws {
    try await Workplace.with { place in
      let worker = try await place.start()
      #expect(try await place.ask(StatusReport.self, "status").worker?.address == worker.address)
    }
  }

  @Test("records that get no partition key are wrong usage, and no stream is made for a file that cannot be put")
  func withoutKey() async throws {
    try await Workplace.with { place in
      _ = try await place.start()
      let unread = ["put", "letters", "no such file", "--partition-key", "k", "--create-shards", "1"]
      #expect(try await place.sluice(unread).code == 65)
      for arguments in [["put", "numbers", "lines"], ["put", "letters", "lines", "--create-shards", "1"]] {
        let ended = try await place.sluice(arguments)
        #expect(ended.code == 64)
        #expect(ended.errors.contains("--key-field NAME or --partition-key KEY"))
      }
      #expect(try await place.sluice("streams", "describe", "letters").errors.contains("There are: numbers."))
    }
  }

  @Test("simulate prints the last events and orders of a seed when it is told to")
  func trace() async throws {
    try await Workplace.with { place in
      let arguments = ["simulate", "--seed", "4", "--steps", "500", "--trace", "--trace-last"]
      let ended = try await place.sluice(arguments + ["20"], environment: [:])
      let lines = ended.output.split(separator: "\n")
      #expect(ended.code == 0 && lines.count == 21)
      #expect(lines.contains { $0.hasPrefix("step ") } && lines.contains { $0.hasPrefix("    -> ") })
      #expect(lines.last?.hasPrefix("seed 4: ") == true)
      #expect(try await place.sluice(arguments + ["0"], environment: [:]).code == 64)
      let several = try await place.sluice("simulate", "--seed", "4", "--seeds", "2", "--steps", "500", "--trace")
      #expect(several.output.split(separator: "\n").count == 2)
    }
  }

  @Test("acting on lanes without a worker is 69, and looking is not")
  func needsWorker() async throws {
    try await Workplace.with { place in
      let worker = try await place.start()
      #expect(await worker.drain() == 0)
      for action in ["pause", "resume", "retry", "skip"] {
        let ended = try await place.sluice([action, "numbers-note", "--shard", "0", "--yes"])
        #expect(ended.code == 69)
        #expect(ended.errors.contains("Start one with sluice run"))
      }
      #expect(try await place.lanes().map(\.state) == [.notRunning])
      #expect(try await place.sluice("explain", "numbers-note").code == 0)
    }
  }

  @Test("a worker that does not listen any more is said to start or to drain, and what to do")
  func closedPort() async throws {
    try await Workplace.with { place in
      let store = try StreamStore.open(at: place.data.path, role: .writer)
      defer { withExtendedLifetime(store) {} }
      // Nobody listens at port 1.
      try store.setHolderNote(HolderNote(processID: getpid(), listenAddress: "127.0.0.1:1"))
      let ended = try await place.sluice("status")
      #expect(ended.code == 69, "\(ended)")
      #expect(
        ended.errors.contains(
          "The worker at 127.0.0.1:1 does not answer: connection refused. It is starting or draining: try again in a "
            + "moment"), "\(ended)")
    }
  }

  @Test("every error of a configuration is told at once, with its line, its place, what stands there and the rule")
  func badConfiguration() async throws {
    try await Workplace.with { place in
      let text = """
        streams:
          - { name: numbers, shards: 0 }
        functions:
          - { name: note, command: [python3], protocol: lines, timeout: 3 weeks }
        mappings:
          - stream: letters
            function: note
            BatchSize: 10001
            colour: red
        """
      try place.write(text, to: "bad.yaml")
      for command in [["check", "bad.yaml"], ["run", "--config", "bad.yaml"]] {
        let ended = try await place.sluice(command)
        #expect(ended.code == 65)
        for part in [
          "bad.yaml:2:", "streams[0].shards: \"0\"", "bad.yaml:4:", "functions[0].timeout: \"3 weeks\"", "bad.yaml:6:",
          "mappings[0].stream: \"letters\"", "bad.yaml:8:", "mappings[0].BatchSize: \"10001\"", "from 1 to 10000",
          "bad.yaml:9:",
          "mappings[0].colour",
        ] {
          #expect(ended.errors.contains(part), "\(part) is not in \(ended)")
        }
      }
    }
  }

  @Test("the example of the repository is in order")
  func example() async throws {
    try await Workplace.with { place in
      let ended = try await place.sluice("check", Program.root.appending(path: "config/example.yaml").path)
      #expect(ended.code == 0, "\(ended)")
      #expect(ended.output.contains("mappings[0].BatchSize"))
    }
  }
}
