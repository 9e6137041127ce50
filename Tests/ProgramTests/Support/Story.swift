import Foundation

/// A section of a document that shows commands, indented, and what they print, in fences.
struct Story {
  struct Step {
    var command: String
    /// The lines of the fence behind the command; may be empty.
    var shown: [String] = []
  }

  private(set) var steps: [Step] = []

  /// Reads the section under this heading.
  init(heading: String, of document: String) {
    let lines = document.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    let section = lines.drop { $0 != "## \(heading)" }.dropFirst().prefix { !$0.hasPrefix("## ") }
    var isFenced = false
    for line in section {
      if line.hasPrefix("```") {
        isFenced.toggle()
      } else if isFenced {
        if !steps.isEmpty { steps[steps.count - 1].shown.append(line) }
      } else if line.hasPrefix("    ") {
        steps.append(Step(command: line.trimmingCharacters(in: .whitespaces)))
      }
    }
  }
}

extension Story.Step {
  /// The first shown line that was not printed; `nil` if all were, in their order. What differs from run to run does not
  /// count: times, numbers of attempts, the width of columns. `…` stands for anything.
  func firstMissing(in printed: String) -> String? {
    var left = printed.split(separator: "\n").map { Self.withoutTimes(String($0)) }[...]
    for line in shown {
      let parts = Self.withoutTimes(line).split(separator: "…", omittingEmptySubsequences: false).map(String.init)
      guard parts.contains(where: { !$0.isEmpty }) else { continue }
      guard let position = left.firstIndex(where: { Self.has($0, parts) }) else { return line }
      left = left[(position + 1)...]
    }
    return nil
  }

  /// Whether the line consists of these parts, in their order, and of anything between them.
  private static func has(_ line: String, _ parts: [String]) -> Bool {
    let pattern = parts.map { NSRegularExpression.escapedPattern(for: $0) }.joined(separator: ".*")
    return line.range(of: "^\(pattern)$", options: .regularExpression) != nil
  }

  private static func withoutTimes(_ line: String) -> String {
    var text = line
    for (pattern, replacement) in [
      (#"\b\d+(\.\d+)? (ms|s|min|h|d)\b"#, "#"), (#"# #"#, "#"), (#"\b\d\d:\d\d:\d\d\b"#, "#"),
      (#"\bin #|# ago\b|\bnow\b"#, "#"), (#"\b\d+ made, \d+ left"#, "# made, # left"), (#"\b\d+×"#, "#×"),
      (#"\s+"#, " "),
    ] {
      text = text.replacingOccurrences(of: pattern, with: replacement, options: .regularExpression)
    }
    return text.trimmingCharacters(in: .whitespaces)
  }
}
