/// The parameters as a table for the documentation.
public enum ParameterTable {
  public static var markdown: String {
    let rows = MappingParameter.allCases.map { parameter in
      let rule = parameter.rule
      let standard = rule.isRequired ? "required" : rule.standard.isEmpty ? "" : "`\(rule.standard)`"
      return "| `\(parameter.rawValue)` | \(rule.values.words) | \(standard) | \(rule.change.words) | \(rule.meaning) |"
    }
    return """
      | key | values | default | a change takes effect | meaning |
      | --- | --- | --- | --- | --- |

      """ + rows.joined(separator: "\n") + "\n"
  }
}

extension ChangeMoment {
  var words: String { self == .refused ? "never" : sentence }
}

extension ParameterRule.Values {
  /// For a table.
  var words: String {
    switch self {
    case .name: return "a name"
    case .boolean: return "true, false"
    case .integer(let range, let unit, let endless):
      return (endless.map { "-1 (\($0.meaning)) or " } ?? "") + "\(range.lowerBound) to \(range.upperBound) \(unit)"
    case .choice(let known): return known.map { "`\($0)`" }.joined(separator: ", ")
    case .choices(let known, let limit):
      return "at most \(limit) of " + known.map { "`\($0)`" }.joined(separator: ", ")
    case .moment: return "Unix seconds or `2026-01-31T12:00:00Z`"
    case .duration: return "`1ms` to `7d`"
    case .filters(let limit): return "`{Filters: [{Pattern: '…'}]}`, at most \(limit)"
    case .retryRules(let limit): return "`[{when: …, then: …}]`, at most \(limit)"
    case .destination: return "`{OnFailure: {Destination: …}}`"
    }
  }
}
