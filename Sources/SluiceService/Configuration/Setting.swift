/// One value of the effective configuration and where it comes from.
public struct Setting: Hashable, Sendable {
  public var path: String
  public var value: String
  public var origin: Origin

  public enum Origin: Hashable, Sendable, CustomStringConvertible {
    case standard
    case file(line: Int)
    /// The name of the variable.
    case environment(String)
    /// The flag with its dashes.
    case flag(String)

    public var description: String {
      switch self {
      case .standard: "default"
      case .file(let line): "file, line \(line)"
      case .environment(let name): "environment, \(name)"
      case .flag(let name): "flag, \(name)"
      }
    }
  }
}
