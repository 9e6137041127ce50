import ArgumentParser
import Foundation
import Sluice
import SluiceService

struct Check: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check a configuration, print what it comes to, and how it differs from what runs.",
    discussion: """
      The store that the configuration names says what runs: its worker if there is one, otherwise what the store \
      remembers of the mappings.

      Examples:
        sluice check sluice.yaml
        sluice check sluice.yaml --format json | jq .differences
      """)

  @Argument(help: "The configuration file.") var file: String
  @OptionGroup var output: FormatOption

  func run() async throws {
    let result = try ConfigurationOptions.read(
      file: file, ConfigurationOverrides(environment: ProcessInfo.processInfo.environment))
    let changes = try await ChangeReport.comparing(file, result.configuration)
    if output.isJSON {
      return try printJSON(CheckReport(settings: result.settings.map(CheckedSetting.init), changes: changes))
    }
    print(result.describe())
    guard let changes else { return print("Nothing has run on \(result.configuration.store.path) yet.") }
    let runs = changes.worker.map { "worker \($0.processID)" } ?? "what the store remembers; no worker runs"
    print("Compared with \(runs):")
    print(changes.text)
  }
}

struct Apply: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make a running worker run another configuration.",
    discussion: """
      Nothing restarts: each setting takes effect at once, with the next batch, or after the lanes of its mapping are \
      drained, whichever order demands. A batch under retry keeps its records and the attempts it has used up. A file \
      with an error changes nothing. Where a mapping cannot take its settings it goes on with the former ones, and the \
      answer says which mappings were changed before it and which were not reached; it ends with 1. The next start reads its own file: apply the one that the worker was started with.

      Examples:
        sluice apply --config sluice.yaml           what it would do
        sluice apply --config sluice.yaml --yes
        kill -HUP PID                               the same for the worker's own file
      """)

  @Option(help: "The configuration file.") var config: String
  @OptionGroup var consent: ConsentOptions
  @OptionGroup var output: FormatOption

  func run() async throws {
    let result = try ConfigurationOptions.read(
      file: config, ConfigurationOverrides(environment: ProcessInfo.processInfo.environment))
    let directory = result.configuration.store.path
    let answer = try await Connection.act(on: directory).perform(
      .apply(try ConfigurationText(fileAt: config), consent: consent.value))
    guard case .changes(let report) = answer else { throw Problem(answer) }
    if output.isJSON {
      try printJSON(report)
    } else {
      print(report.text)
      if let failure = report.failure { print(failure.sentence + "\nSay it again when the reason is gone.") }
    }
    if report.failure != nil { throw Exit.failed }
    if output.isJSON { return }
    if !report.isApplied, !report.differences.isEmpty { print("Nothing was changed. Add --yes to do it.") }
  }
}

private struct CheckReport: Encodable {
  var settings: [CheckedSetting]
  var worker: WorkerReport?
  var differences: [SettingDifference]

  init(settings: [CheckedSetting], changes: ChangeReport?) {
    self.settings = settings
    worker = changes?.worker
    differences = changes?.differences ?? []
  }
}

private struct CheckedSetting: Encodable {
  var path: String
  var value: String
  var origin: String

  init(_ setting: Setting) {
    path = setting.path
    value = setting.value
    origin = "\(setting.origin)"
  }
}

extension ConfigurationText {
  /// The file as it stands; its folder for a worker that runs somewhere else.
  fileprivate init(fileAt path: String) throws {
    let url = URL(filePath: path).standardizedFileURL
    self.init(
      yaml: try String(contentsOf: url, encoding: .utf8), source: path, directory: url.deletingLastPathComponent().path)
  }
}

extension ChangeReport {
  /// `nil` if there is no store yet.
  fileprivate static func comparing(_ file: String, _ configuration: Configuration) async throws -> ChangeReport? {
    let directory = configuration.store.path
    guard FileManager.default.fileExists(atPath: directory + "/data.mdb") else { return nil }
    let store = try await Connection.look(at: directory)
    let preview = Consent(actor: NSUserName(), isApplied: false)
    switch await store.perform(.apply(try ConfigurationText(fileAt: file), consent: preview)) {
    case .changes(let report): return report
    case .refused(let refusal) where refusal.reason == .needsWorker:
      guard case .status(let status) = await store.perform(.status) else { throw Problem(refusal) }
      return .comparing(configuration, with: status)
    case let answer: throw Problem(answer)
    }
  }

  /// What became of it, or becomes.
  private func outcome(of difference: SettingDifference) -> String {
    let isOut = failure.map { failure in
      ([failure.mapping] + failure.notApplied).contains {
        difference.path == "mappings.\($0)" || difference.path.hasPrefix("mappings.\($0).")
      }
    }
    return isOut == true ? "NOT APPLIED" : difference.effect
  }

  /// One difference a line.
  fileprivate var text: String {
    guard !differences.isEmpty else { return "no difference" }
    var table = TextTable(["setting", "runs", "file", isApplied ? "took effect" : "takes effect"])
    for difference in differences {
      table.add([difference.path, difference.runs ?? "-", difference.file ?? "-", outcome(of: difference)])
    }
    return table.text
  }
}
