import Logging

/// What a process writes to its standard error, line by line: forwarded to the log, and the end of it kept as the
/// trace of a failure. Takes any flood in constant memory.
struct ErrorOutput {
  /// Longer lines are cut here.
  static let longestLine = 8_192
  /// What is kept for the trace.
  static let keptLines = 64
  static let keptBytes = 16_384
  /// Lines of one process that go to the log in one second; what is beyond is counted. Lines of our own about the
  /// process are no part of it.
  static let loggedLinesPerSecond = 200

  /// The last lines since ``forget()``, oldest first.
  private(set) var tail: [String] = []
  private var tailByteCount = 0
  private var line: [UInt8] = []
  private var isCut = false
  private var second: Int64 = 0
  private var loggedInSecond = 0
  private var leftOut = 0
  private let logger: Logger
  private let mask: SecretMask
  /// The invocation that lines belong to; empty if there is none, or the process does not tell.
  var requestID = ""

  init(logger: Logger, mask: SecretMask) {
    self.logger = logger
    self.mask = mask
  }

  /// A new invocation begins: what came before is not its trace.
  mutating func forget() {
    tail.removeAll(keepingCapacity: true)
    tailByteCount = 0
  }

  mutating func take(_ bytes: some Collection<UInt8>, at now: Int64) {
    var rest = bytes[...]
    while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
      grow(by: rest[..<end])
      finishLine(at: now)
      rest = rest[rest.index(after: end)...]
    }
    grow(by: rest)
  }

  /// There will be no more: the last line may lack its end.
  mutating func finish(at now: Int64) {
    if !line.isEmpty { finishLine(at: now) }
    reportLeftOut()
  }

  private mutating func grow(by bytes: some Collection<UInt8>) {
    let room = Self.longestLine - line.count
    line.append(contentsOf: bytes.prefix(room))
    if bytes.count > room { isCut = true }
  }

  private mutating func finishLine(at now: Int64) {
    if line.last == UInt8(ascii: "\r") { line.removeLast() }
    let text = mask.masked(String(decoding: line, as: UTF8.self)) + (isCut ? " … (cut)" : "")
    line.removeAll(keepingCapacity: true)
    isCut = false
    keep(text)
    log(text, at: now)
  }

  private mutating func keep(_ text: String) {
    tail.append(text)
    tailByteCount += text.utf8.count
    while tail.count > Self.keptLines || tailByteCount > Self.keptBytes && tail.count > 1 {
      tailByteCount -= tail.removeFirst().utf8.count
    }
  }

  /// A line of the process, or one that is as long as what the process was given: left out, and counted, when there were
  /// enough in this second.
  mutating func log(_ text: @autoclosure () -> String, at now: Int64) {
    beginSecond(at: now)
    guard loggedInSecond < Self.loggedLinesPerSecond else {
      // Said at once: after a flood there may be no later line to say it with.
      if leftOut == 0 { logger.warning("the handler wrote more than the log takes in a second; lines are left out") }
      leftOut += 1
      return
    }
    loggedInSecond += 1
    write(text())
  }

  /// Logs lines of our own about the process, which are always there: one for what begins, ends or is summed up.
  mutating func logOwn(_ lines: [String], at now: Int64) {
    beginSecond(at: now)
    for line in lines { write(line) }
  }

  private func write(_ line: String) {
    logger.info("\(line)", metadata: requestID.isEmpty ? nil : ["requestId": "\(requestID)"])
  }

  private mutating func beginSecond(at now: Int64) {
    guard now / 1_000_000_000 != second else { return }
    reportLeftOut()
    second = now / 1_000_000_000
    loggedInSecond = 0
  }

  private mutating func reportLeftOut() {
    guard leftOut > 0 else { return }
    logger.warning("lines of the handler were left out", metadata: ["linesLeftOut": "\(leftOut)"])
    leftOut = 0
  }
}
