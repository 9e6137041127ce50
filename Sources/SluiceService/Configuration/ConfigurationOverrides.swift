/// Values that stand above those of the file: from the environment, and above it from flags.
public struct ConfigurationOverrides: Hashable, Sendable {
  public struct Value: Hashable, Sendable {
    public var text: String
    public var origin: Setting.Origin
  }

  public var data: Value?
  public var listen: Value?
  public var logLevel: Value?
  public var logFormat: Value?

  public init() {}

  /// Takes `SLUICE_DATA`, `SLUICE_LISTEN`, `SLUICE_LOG_LEVEL`, `SLUICE_LOG_FORMAT` from `environment`, and above them
  /// the flags that are given.
  public init(
    environment: [String: String], data: String? = nil, listen: String? = nil, logLevel: String? = nil,
    logFormat: String? = nil
  ) {
    func value(_ variable: String, _ flag: String, _ given: String?) -> Value? {
      if let given { return Value(text: given, origin: .flag(flag)) }
      return environment[variable].map { Value(text: $0, origin: .environment(variable)) }
    }
    self.data = value("SLUICE_DATA", "--data", data)
    self.listen = value("SLUICE_LISTEN", "--listen", listen)
    self.logLevel = value("SLUICE_LOG_LEVEL", "--log-level", logLevel)
    self.logFormat = value("SLUICE_LOG_FORMAT", "--log-format", logFormat)
  }
}
