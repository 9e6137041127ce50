/// URLs that something is posted to.
enum HTTPAddress {
  static let schemes = ["http://", "https://"]

  static func isMeant(by text: String) -> Bool { schemes.contains(where: text.hasPrefix) }

  /// What a URL with one of the schemes must be and is not.
  static func problem(_ text: String) -> String? {
    guard let scheme = schemes.first(where: text.hasPrefix) else { return "must be a URL (http://… or https://…)" }
    let host = text.dropFirst(scheme.count).prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    if host.isEmpty || host.hasPrefix(":") { return "is a URL without a host" }
    if host.contains("@") {
      return "must not hold a user or a password: it is shown in logs and by sluice status"
    }
    guard text.unicodeScalars.allSatisfy({ $0.isASCII && $0.value > 32 }) else {
      return "must be a URL of ASCII characters without blanks: escape others with %"
    }
    return nil
  }
}
