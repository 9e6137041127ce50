import Sluice
import Yams

/// Reads the parameters of a mapping by their rules. A value that breaks one is reported, with AWS's words where they
/// are known, and replaced by the default.
extension ConfigurationSection {
  mutating func read<Value>(
    _ parameter: MappingParameter, default standard: Value, show: (Value) -> String,
    parse: (String) throws(ParameterProblem) -> Value
  ) -> Value {
    let key = parameter.rawValue
    guard let node = value(key) else {
      findings.settings.append(Setting(path: path(key), value: show(standard), origin: .standard))
      return standard
    }
    do throws(ParameterProblem) {
      let value = try parse(node.scalar?.string ?? node.shortText)
      findings.settings.append(
        Setting(path: path(key), value: show(value), origin: .file(line: node.mark?.line ?? 0)))
      return value
    } catch {
      findings.report(node, path(key), value: node.shortText, error.rule, aws: error.aws)
      return standard
    }
  }

  mutating func integer(_ parameter: MappingParameter) -> Int {
    read(parameter, default: standard(parameter, parameter.integer), show: { "\($0)" }, parse: parameter.integer)
  }

  mutating func boolean(_ parameter: MappingParameter) -> Bool {
    read(parameter, default: standard(parameter, parameter.boolean), show: { "\($0)" }, parse: parameter.boolean)
  }

  mutating func choice(_ parameter: MappingParameter) -> String {
    read(parameter, default: parameter.rule.standard, show: \.self, parse: parameter.choice)
  }

  /// A list of words, at `key` where that is not the parameter's own. `standard` is shown where there is none.
  mutating func choices(_ parameter: MappingParameter, key: String? = nil, standard: [String] = []) -> [String] {
    let key = key ?? parameter.rawValue
    let items = items(key)
    var chosen: [String] = []
    do throws(ParameterListProblem) {
      chosen = try parameter.choices(items.map { $0.node.scalar?.string ?? $0.node.shortText })
    } catch {
      let item = error.position.map { items[$0] }
      findings.report(
        item?.node ?? value(key), item?.path ?? path(key), value: item?.node.shortText, error.problem.rule,
        aws: error.problem.aws)
    }
    findings.settings.append(
      Setting(
        path: path(key), value: "[\((value(key) == nil ? standard : chosen).joined(separator: ", "))]",
        origin: value(key).map { .file(line: $0.mark?.line ?? 0) } ?? .standard))
    return chosen
  }

  /// A parameter that belongs to something else.
  mutating func foreign(_ parameter: ForeignParameter) {
    // Asked for only where it stands, so that it is not among the known keys of a message.
    guard node?.mapping?[parameter.name] != nil, let node = value(parameter.name) else { return }
    findings.report(node, path(parameter.name), value: node.shortText, parameter.reason, aws: parameter.aws)
  }

  /// Rules over several parameters that are broken.
  mutating func report(_ problems: [ParameterProblem]) {
    for problem in problems {
      let node = value(problem.parameter.rawValue)
      findings.report(
        node ?? self.node, path(problem.parameter.rawValue), value: node?.shortText, problem.rule, aws: problem.aws)
    }
  }

  private func standard<Value>(
    _ parameter: MappingParameter, _ read: (String) throws(ParameterProblem) -> Value
  ) -> Value {
    do {
      return try read(parameter.rule.standard)
    } catch {
      preconditionFailure("the default of \(parameter.rawValue) breaks its rule")
    }
  }
}
