import ArgumentParser

/// The exit codes that scripts rely on; 0 is done.
enum Exit {
  static let failed = ExitCode(1)
  static let wrongUsage = ExitCode(64)
  static let badInput = ExitCode(65)
  static let notReachable = ExitCode(69)
  static let tryAgain = ExitCode(75)
}
