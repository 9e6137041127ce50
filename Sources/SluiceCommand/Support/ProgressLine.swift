import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// One line on the terminal that is written over and over. Silent when standard error is not a terminal.
struct ProgressLine {
  private let isShown: Bool
  private var shownAt = ContinuousClock.now - .seconds(1)

  init(isQuiet: Bool) {
    isShown = !isQuiet && isatty(STDERR_FILENO) == 1
  }

  /// Shows the text, at most ten times a second.
  mutating func show(_ text: @autoclosure () -> String) {
    guard isShown, ContinuousClock.now - shownAt > .milliseconds(100) else { return }
    shownAt = .now
    FileHandle.standardError.write(Data("\r\u{1B}[K\(text())".utf8))
  }

  func clear() {
    if isShown { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) }
  }
}
