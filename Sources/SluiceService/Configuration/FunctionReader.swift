import Foundation
import LambdaRuntime

import Yams

/// Reads one entry of `functions`.
struct FunctionReader {
  let findings: ConfigurationFindings
  /// Where a function runs that does not say it.
  let directory: String?
  let resolve: (String) -> String

  func read(_ section: inout ConfigurationSection, name: String) -> FunctionConfiguration {
    let handlerProtocol = section.choice("protocol", default: FunctionConfiguration.HandlerProtocol.lambda)
    var function = FunctionConfiguration(name: name, command: [], handlerProtocol: handlerProtocol)
    if handlerProtocol == .http {
      readService(&section, &function)
    } else {
      for key in ["url", "secretFile"] {
        guard let node = section.value(key) else { continue }
        findings.report(node, section.path(key), value: node.shortText, "needs protocol: http")
      }
      readPlace(&section, &function)
      readProgram(&section, &function)
      if section.value("user") != nil {
        function.user = section.requiredText("user", rule: "must be the name of a user of this machine")
      }
      function.environment = readEnvironment(section.section("environment"), handlerProtocol)
    }
    readTimeout(&section, &function)
    function.concurrency = section.integer(
      "concurrency", default: function.concurrency, in: 1...1_000, unit: "processes")
    if handlerProtocol == .lambda { readEnvironments(&section, &function) }
    function.asyncInvocation = readAsyncInvocation(&section, handlerProtocol)
    return function
  }

  /// `async: {}` is enough; everything in it has AWS's defaults.
  private func readAsyncInvocation(
    _ section: inout ConfigurationSection, _ handlerProtocol: FunctionConfiguration.HandlerProtocol
  ) -> AsyncInvocation? {
    guard let node = section.value("async") else { return nil }
    guard handlerProtocol != .lines else {
      findings.report(node, section.path("async"), value: node.shortText, "needs protocol: lambda or http")
      return nil
    }
    var own = section.section("async")
    var async = AsyncInvocation()
    async.maximumRetryAttempts = own.integer(
      "MaximumRetryAttempts", default: async.maximumRetryAttempts, in: AsyncInvocation.retryAttempts, unit: "retries")
    let age = own.integer(
      "MaximumEventAgeInSeconds", default: Int(async.maximumEventAge.components.seconds),
      in: AsyncInvocation.eventAgeSeconds, unit: "seconds")
    async.maximumEventAge = .seconds(age)
    async.firstRetryWait = own.duration(
      "firstRetryWait", default: async.firstRetryWait, in: AsyncInvocation.retryWaits)
    DestinationReader(findings: findings, resolve: resolve).read(&own, into: &async)
    own.finish()
    return async
  }

  /// Where events are posted to, and what signs them.
  private func readService(_ section: inout ConfigurationSection, _ function: inout FunctionConfiguration) {
    for key in [
      "command", "Handler", "Runtime", "directory", "code", "user", "environment", "memory", "provisioned", "idleTime",
      "logEvent", "redact",
    ] {
      guard let node = section.value(key) else { continue }
      findings.report(
        node, section.path(key), value: node.shortText, "is for a program; with protocol: http there is none")
    }
    function.logFormat = section.choice("logFormat", default: function.logFormat)
    let rule = "must be a URL (http://… or https://…)"
    if let url = section.requiredText("url", rule: rule) {
      function.url = url
      if let problem = HTTPAddress.problem(url), let node = section.value("url") {
        findings.report(node, section.path("url"), value: node.shortText, problem)
      }
    }
    guard let node = section.value("secretFile"),
      let path = section.requiredText("secretFile", rule: "must be a file with a secret")
    else { return }
    guard let text = try? String(contentsOfFile: resolve(path), encoding: .utf8) else {
      return findings.report(node, section.path("secretFile"), value: node.shortText, "cannot be read")
    }
    function.signature = WebhookSignature(secret: text)
    if function.signature == nil {
      findings.report(
        node, section.path("secretFile"), value: node.shortText,
        "holds no secret: whsec_ and base64, or any text of at least 8 bytes")
    }
  }

  /// Where the code is: a directory, or an archive.
  private func readPlace(_ section: inout ConfigurationSection, _ function: inout FunctionConfiguration) {
    function.directory = directory
    if section.value("directory") != nil {
      let text = section.requiredText("directory", rule: "must be a directory")
      function.directory = text.map { resolve($0) }
    }
    guard let node = section.value("code"), let path = section.requiredText("code", rule: "must be a zip archive")
    else {
      return
    }
    if section.value("directory") != nil {
      findings.report(
        node, section.path("code"), value: node.shortText, "and directory are two places for the same code")
    }
    function.directory = nil
    function.code = CodeArchive(at: resolve(path))
    if function.code == nil {
      findings.report(node, section.path("code"), value: node.shortText, "there is no such file")
    }
  }

  /// A duration, or `adaptive` and the bounds of that.
  private func readTimeout(_ section: inout ConfigurationSection, _ function: inout FunctionConfiguration) {
    let range = Duration.milliseconds(1) ... .seconds(900)
    let bounds = ["timeoutFloor", "timeoutCeiling"]
    guard section.value("timeout")?.scalar?.string == "adaptive" else {
      function.timeout = section.duration("timeout", default: function.timeout, in: range)
      for key in bounds {
        guard let node = section.value(key) else { continue }
        findings.report(node, section.path(key), value: node.shortText, "needs timeout: adaptive")
      }
      return
    }
    guard function.handlerProtocol == .lambda else {
      if let node = section.value("timeout") {
        findings.report(node, section.path("timeout"), value: node.shortText, "needs protocol: lambda")
      }
      return
    }
    let standard = FunctionConfiguration.adaptiveTimeouts
    let floor = section.duration(bounds[0], default: standard.lowerBound, in: range)
    function.timeout = section.duration(bounds[1], default: max(standard.upperBound, floor), in: range)
    function.timeoutFloor = min(floor, function.timeout)
    if floor > function.timeout, let node = section.value(bounds[1]) {
      findings.report(node, section.path(bounds[1]), value: node.shortText, "must not be shorter than timeoutFloor")
    }
  }

  /// The command, or what makes one.
  private func readProgram(_ section: inout ConfigurationSection, _ function: inout FunctionConfiguration) {
    let command = section.texts("command")
    if function.handlerProtocol == .lambda {
      if section.value("Handler") != nil {
        function.handler = section.requiredText("Handler", rule: "must be a text") ?? ""
      }
      if section.value("Runtime") != nil {
        function.runtime = section.requiredText("Runtime", rule: "must be a text") ?? ""
      }
    } else {
      refuse(["Handler", "Runtime", "memory", "provisioned", "idleTime", "logFormat", "logEvent", "redact"], &section)
    }
    function.command = command ?? []
    let isMade = command == nil && !(function.handler.isEmpty && function.runtime.isEmpty)
    if isMade {
      checkShorthand(&section, function)
    } else if function.command.first?.isEmpty ?? true {
      let shorthand = function.handlerProtocol == .lambda ? ", or give Handler and Runtime instead" : ""
      findings.report(
        section.node, section.path("command"), "must be a list: the program and its arguments\(shorthand)")
    }
    findings.settings.append(
      Setting(
        path: section.path("command"), value: function.handlerCommand.arguments.joined(separator: " "),
        origin: .file(line: section.node?.mark?.line ?? 0)))
  }

  /// `Handler: orders.handler` and `Runtime: python3.12` say what is run.
  private func checkShorthand(_ section: inout ConfigurationSection, _ function: FunctionConfiguration) {
    if function.handler.isEmpty {
      findings.report(section.node, section.path("Handler"), "is missing: Runtime without a command needs it")
    }
    guard let node = section.value("Runtime") else {
      findings.report(section.node, section.path("Runtime"), "is missing: Handler without a command needs it")
      return
    }
    guard function.runtime == "python3" || function.runtime.hasPrefix("python3.") else {
      findings.report(
        node, section.path("Runtime"), value: node.shortText,
        "must be python3.x where there is no command; for others give the command that starts their runtime")
      return
    }
  }

  private func readEnvironments(_ section: inout ConfigurationSection, _ function: inout FunctionConfiguration) {
    function.memory = section.size("memory", default: function.memory, in: 1 << 20...1 << 40)
    if function.memory & ((1 << 20) - 1) != 0, let node = section.value("memory") {
      findings.report(node, section.path("memory"), value: node.shortText, "must be a whole number of MiB")
    }
    function.provisioned = section.integer(
      "provisioned", default: function.provisioned, in: 0...function.concurrency, unit: "processes")
    function.idleTime = section.duration(
      "idleTime", default: function.idleTime, in: .seconds(1)...(.seconds(7 * 86_400)))
    function.logFormat = section.choice("logFormat", default: function.logFormat)
    function.logsEvents = section.boolean("logEvent", default: false)
    function.redactedMembers = section.texts("redact") ?? []
    if !function.logsEvents, let node = section.value("redact") {
      findings.report(node, section.path("redact"), value: node.shortText, "needs logEvent: true")
    }
  }

  /// Variables may have any name but those that tell a runtime where it is.
  private func readEnvironment(
    _ section: ConfigurationSection, _ handlerProtocol: FunctionConfiguration.HandlerProtocol
  ) -> [String: String] {
    var environment: [String: String] = [:]
    for (key, value) in section.node?.mapping ?? [:] {
      guard let name = key.scalar?.string, let text = value.scalar?.string else {
        findings.report(key, section.path, "must map names of variables to texts")
        continue
      }
      if handlerProtocol == .lambda, EnvironmentVariables.reserved.contains(name) {
        findings.report(key, section.path(name), "is reserved: Lambda sets it, and so does Sluice")
      }
      environment[name] = text
    }
    return environment
  }

  private func refuse(_ keys: [String], _ section: inout ConfigurationSection) {
    for key in keys {
      guard let node = section.value(key) else { continue }
      findings.report(node, section.path(key), value: node.shortText, "needs protocol: lambda")
    }
  }
}
