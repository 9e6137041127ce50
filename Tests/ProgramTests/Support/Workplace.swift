import Foundation
import Sluice
import Synchronization
import Testing

/// A temporary folder with a configuration, a handler, a data directory, and the workers that run on it.
final class Workplace: Sendable {
  let folder: URL
  private let workers = Mutex<[Worker]>([])
  private let followers = Mutex<[Child]>([])

  /// Runs a story at a workplace of its own, and leaves nothing behind: no process, no file.
  static func with(_ setup: Setup = Setup(), _ story: (Workplace) async throws -> Void) async throws {
    await Places.shared.enter()
    let place: Workplace
    do {
      place = try Workplace()
      try place.configure(setup)
    } catch {
      await Places.shared.leave()
      throw error
    }
    do {
      try await story(place)
    } catch {
      Issue.record("\(error)\n\(place.lastWords)")
    }
    await place.clear()
    await Places.shared.leave()
  }

  private init() throws {
    folder = URL(filePath: NSTemporaryDirectory()).appending(path: "sluice-program-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  private var lastWords: String {
    workers.withLock { $0.last }.map { $0.lines.suffix(20).joined(separator: "\n") } ?? ""
  }

  private func clear() async {
    for worker in workers.withLock(\.self) { await worker.kill() }
    for follower in followers.withLock(\.self) {
      follower.send(SIGKILL)
      _ = await follower.ended()
    }
    do {
      try FileManager.default.removeItem(at: folder)
    } catch {
      Issue.record("the folder stays: \(error)")
    }
  }

  // MARK: Files

  var data: URL { folder.appending(path: "data") }

  func configure(_ setup: Setup) throws {
    try write(setup.yaml, to: "sluice.yaml")
    try write(Setup.handlerProgram, to: "handler.py")
  }

  func write(_ text: String, to name: String) throws {
    try Data(text.utf8).write(to: folder.appending(path: name))
  }

  /// The lines of a file; none if it is not there.
  func lines(of name: String) -> [String] {
    guard let data = FileManager.default.contents(atPath: folder.appending(path: name).path) else { return [] }
    return String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  /// What the handler noted, in the order of its notes.
  var delivered: [Delivered] {
    let file = folder.appending(path: "delivered")
    guard let text = try? String(contentsOf: file, encoding: .utf8) else { return [] }
    return text.split(separator: "\n").compactMap { Delivered($0) }
  }

  // MARK: Processes

  /// Starts a worker, and waits until its lanes are open or, when it is `early`, only until it listens. `life` marks
  /// what its handlers note.
  func start(
    life: Int = 0, early: Bool = false, launcher: [String] = [], more: [String: String] = [:]
  ) async throws -> Worker {
    let worker = try await Worker(
      in: folder, environment: environment.merging(["LIFE": "\(life)"]) { $1 }.merging(more) { $1 }, launcher: launcher)
    workers.withLock { $0.append(worker) }
    if !early { _ = try await worker.says("ready address=") }
    return worker
  }

  /// Drains the worker that runs and starts another.
  func restart() async throws -> Worker {
    if let worker = workers.withLock(\.last) { _ = await worker.drain() }
    return try await start()
  }

  /// Runs a command to its end.
  func sluice(_ arguments: String..., environment more: [String: String] = [:]) async throws -> Ended {
    try await sluice(arguments, environment: more)
  }

  /// Starts a command that goes on until the workplace is cleared, and gives the lines that it prints.
  func follow(_ arguments: String...) throws -> OutputLines { try follow([Program.path] + arguments) }

  /// The same for any program.
  func follow(_ command: [String]) throws -> OutputLines {
    let pipe = Pipe()
    let lines = OutputLines(reading: pipe)
    let child = try Child(
      command, in: folder, environment: environment, output: pipe, errors: FileHandle.nullDevice)
    try pipe.fileHandleForWriting.close()
    followers.withLock { $0.append(child) }
    Task { lines.end(await child.ended()) }
    return lines
  }

  /// Runs a command that prints JSON, and reads that.
  func ask<Answer: Decodable>(_ type: Answer.Type, _ arguments: String...) async throws -> Answer {
    let ended = try await sluice(arguments + ["--format", "json"], environment: [:])
    guard ended.code == 0 else { throw NotHappened(description: "sluice \(arguments): \(ended)") }
    return try JSONDecoder().decode(type, from: Data(ended.output.utf8))
  }

  private var environment: [String: String] { ["SLUICE_DATA": data.path] }

  /// Runs a command to its end.
  func sluice(_ arguments: [String], environment more: [String: String] = [:]) async throws -> Ended {
    try await run([Program.path] + arguments, environment: more)
  }

  /// Runs any program to its end.
  func run(_ arguments: [String], environment more: [String: String] = [:]) async throws -> Ended {
    let (output, errors) = (try CapturedFile(in: folder), try CapturedFile(in: folder))
    let child = try Child(
      arguments, in: folder, environment: environment.merging(more) { $1 },
      output: output.handle, errors: errors.handle)
    // At the test's time limit a program that should have ended goes with it.
    let code = await withTaskCancellationHandler {
      await child.ended()
    } onCancel: {
      child.send(SIGKILL)
    }
    return Ended(code: code, output: try output.take(), errors: try errors.take())
  }

  /// Builds a library of `Tests/Shims` that a program takes what the system does from; its path.
  func shim(_ name: String) async throws -> String {
    let library = folder.appending(path: "\(name).so").path
    let source = Program.root.appending(path: "Tests/Shims/\(name).c").path
    let built = try await run([
      "/usr/bin/env", "clang", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source,
    ])
    guard built.code == 0 else { throw NotHappened(description: "the shim cannot be built: \(built)") }
    return library
  }

  // MARK: Words of many stories

  /// The lanes of the mapping under test.
  func lanes() async throws -> [LaneReport] {
    try await ask(StatusReport.self, "status").mappings.first?.lanes ?? []
  }

  /// Waits until nothing is left to deliver.
  func isDrained() async throws {
    _ = try await eventually("everything is delivered") {
      let lanes = try await lanes()
      return !lanes.isEmpty && lanes.allSatisfy { $0.backlogRecords == 0 } ? true : nil
    }
  }

  /// The first lane that is in this state, as soon as one is.
  func lane(is state: LaneState) async throws -> LaneReport {
    try await eventually("a lane is \(state)") { try await lanes().first { $0.state == state } }
  }

  /// Puts lines of text, one record each.
  @discardableResult
  func put(_ lines: String..., key: String = "k") async throws -> PutReport {
    try write(lines.map { $0 + "\n" }.joined(), to: "lines")
    return try await ask(PutReport.self, "put", "numbers", "lines", "--partition-key", key)
  }

  /// Puts large records until the store refuses one; returns that refusal and how many it took.
  func fill(with bytes: Int = 100_000) async throws -> (refusal: Ended, taken: Int) {
    try write(String(repeating: "x", count: bytes) + "\n", to: "large")
    for taken in 0..<1_000 {
      let ended = try await sluice("put", "numbers", "large", "--partition-key", "k")
      if ended.code != 0 { return (ended, taken) }
    }
    throw NotHappened(description: "the store never refused a put")
  }

  /// The failure entries, as soon as there are any.
  func failures() async throws -> [FailureReport] {
    try await eventually("there is a failure entry") {
      let entries = try await ask([FailureReport].self, "failures", "list")
      return entries.isEmpty ? nil : entries
    }
  }
}

/// What `failures show` prints.
struct FailureDetail: Decodable {
  var entry: FailureReport
  var records: [FailedRecord]
}

/// A file that a child writes to. Unlike a pipe it takes any amount while nobody reads.
private struct CapturedFile {
  let handle: FileHandle
  private let url: URL

  init(in folder: URL) throws {
    url = folder.appending(path: UUID().uuidString)
    try Data().write(to: url)
    handle = try FileHandle(forWritingTo: url)
  }

  func take() throws -> String {
    try handle.close()
    defer { try? FileManager.default.removeItem(at: url) }
    return String(decoding: try Data(contentsOf: url), as: UTF8.self)
  }
}

/// How many workplaces there are at once: each has processes of its own, and the machine few cores.
private actor Places {
  static let shared = Places()
  private var free = 3
  private var waiting: [CheckedContinuation<Void, Never>] = []

  func enter() async {
    if free > 0 {
      free -= 1
    } else {
      await withCheckedContinuation { waiting.append($0) }
    }
  }

  func leave() {
    if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
  }
}
