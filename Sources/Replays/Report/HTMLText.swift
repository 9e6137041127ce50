/// Text in HTML, also inside of an attribute.
enum HTMLText {
  static func escaped(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      case "'": out += "&#39;"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }

  /// So many characters of a text are shown.
  static let shortLimit = 400

  /// The beginning of a text that may be long.
  static func short(_ text: String) -> String {
    escaped(text.count > shortLimit ? text.prefix(shortLimit) + "…" : text)
  }

  /// One row of a table.
  static func row(_ cells: [String]) -> String { "<tr>" + cells.map { "<td>\($0)</td>" }.joined() + "</tr>" }

  static func heads(_ cells: [String]) -> String { "<tr>" + cells.map { "<th>\($0)</th>" }.joined() + "</tr>" }
}
