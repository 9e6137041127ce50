import Foundation
import Testing

@Suite("The tour of the README", .timeLimit(.minutes(10)))
struct TourTests {
  /// These only look: they may be asked again until they show what is told.
  private static let looking = [
    "sluice status", "sluice explain", "sluice failures list", "sluice failures show", "sluice audit",
  ]

  @Test("runs as one story from a fresh folder, and shows what the README shows")
  func tour() async throws {
    let readme = try String(contentsOf: Program.root.appending(path: "README.md"), encoding: .utf8)
    var steps = Story(heading: "The first five minutes", of: readme).steps
    // The program is built: it is the one under test. `.ci/run` makes the release.
    #expect(steps.removeFirst().command == "make release")
    #expect(steps.count { !$0.shown.isEmpty } >= 8)
    try await Workplace.with { place in
      let shell = try Shell(in: try place.freshClone(), environment: place.tourist)
      do {
        for step in steps { try await run(step, in: shell) }
      } catch {
        Issue.record("\(error)")
      }
      try await shell.end()
    }
  }

  @Test(
    "what was recorded with its outcomes, replayed through a fixed handler and redriven is what docs/recordings.md shows"
  )
  func fix() async throws {
    let document = try String(contentsOf: Program.root.appending(path: "docs/recordings.md"), encoding: .utf8)
    let steps = Story(heading: "From a failure to its fix", of: document).steps
    #expect(steps.count == 15 && steps.count { !$0.shown.isEmpty } == 8)
    try await Workplace.with { place in
      let clone = try place.freshClone()
      let shell = try Shell(in: clone, environment: place.tourist)
      do {
        _ = try await shell.run("export PATH=\"$PWD/.build/release:$PATH\"")
        for step in steps { try await run(step, in: shell) }
      } catch {
        Issue.record("\(error)")
      }
      try await shell.end()
    }
  }

  @Test("a shown line that is not printed, or in another order, is found missing")
  func missing() {
    let step = Story.Step(command: "", shown: ["a 3.2 s", "…", "  …c 5× 1", "d"])
    #expect(step.firstMissing(in: "x\na   850 ms\nabc 17× 1\nd") == nil)
    #expect(step.firstMissing(in: "a 850 ms\nabc 17× 2\nd") == "  …c 5× 1")
    #expect(step.firstMissing(in: "d\na 1 min 3 s\nc 1× 1") == "d")
    #expect(step.firstMissing(in: "") == "a 3.2 s")
  }

  private func run(_ step: Story.Step, in shell: Shell) async throws {
    var ended = try await shell.run(step.command)
    if Self.looking.contains(where: { step.command.hasPrefix($0) }) {
      let deadline = ContinuousClock.now + .seconds(60)
      while !step.isTold(by: ended), ContinuousClock.now < deadline { ended = try await shell.run(step.command) }
    }
    guard step.isTold(by: ended) else {
      let missing = step.firstMissing(in: ended.output) ?? "nothing"
      throw NotHappened(description: "\(step.command)\nmissing: \(missing)\n\(ended)")
    }
  }
}

extension Story.Step {
  fileprivate func isTold(by ended: Ended) -> Bool { ended.code == 0 && firstMissing(in: ended.output) == nil }
}

extension Workplace {
  /// What of the repository the tour takes with it, and the program under test where a release would be.
  fileprivate func freshClone() throws -> URL {
    let clone = folder.appending(path: "clone")
    let release = clone.appending(path: ".build/release")
    try FileManager.default.createDirectory(at: release, withIntermediateDirectories: true)
    for name in ["Examples", "config"] {
      try FileManager.default.copyItem(at: Program.root.appending(path: name), to: clone.appending(path: name))
    }
    try FileManager.default.createSymbolicLink(
      at: release.appending(path: "sluice"), withDestinationURL: URL(filePath: Program.path).absoluteURL)
    return clone
  }

  /// `mktemp` stays in the workplace, and the port is one that nobody else has.
  fileprivate var tourist: [String: String] { ["TMPDIR": folder.path, "SLUICE_LISTEN": "127.0.0.1:0"] }
}
