public import StreamModel
public import StreamStore

/// The failed deliveries of the batch at the head of a lane, oldest first.
///
/// Bounded: the first ``firstKept`` and the last ``lastKept`` are kept; the ones between are counted.
public struct AttemptHistory: Hashable, Sendable {
  public private(set) var attempts: [AttemptRecord] = []
  public private(set) var omitted = 0

  public static let firstKept = 2
  public static let lastKept = 8
  /// Longer messages and traces are cut, so that one handler cannot fill the store with its complaints.
  public static let messageByteLimit = 4_096
  public static let traceLineLimit = 64

  public init() {}

  init(attempts: [AttemptRecord], omitted: Int) {
    self.attempts = attempts
    self.omitted = omitted
  }

  public var last: AttemptRecord? { attempts.last }
  public var isEmpty: Bool { attempts.isEmpty }

  public mutating func append(_ attempt: AttemptRecord) {
    var attempt = attempt
    attempt.message = attempt.message.cut(toUTF8: Self.messageByteLimit)
    attempt.type = attempt.type.cut(toUTF8: 256)
    if attempt.trace.count > Self.traceLineLimit {
      let cut = attempt.trace.count - Self.traceLineLimit
      attempt.trace = ["… \(cut) lines left out"] + attempt.trace.suffix(Self.traceLineLimit)
    }
    attempt.trace = attempt.trace.map { $0.cut(toUTF8: 1_024) }
    if attempts.count == Self.firstKept + Self.lastKept {
      attempts.remove(at: Self.firstKept)
      omitted += 1
    }
    attempts.append(attempt)
  }

  public mutating func removeAll() {
    attempts.removeAll(keepingCapacity: true)
    omitted = 0
  }
}

extension String {
  /// The longest prefix within `limit` bytes of UTF-8, with `…` behind it if anything was cut.
  func cut(toUTF8 limit: Int) -> String {
    guard utf8.count > limit else { return self }
    var end = utf8.index(startIndex, offsetBy: limit)
    while end.samePosition(in: unicodeScalars) == nil { end = utf8.index(before: end) }
    return String(self[..<end]) + "…"
  }
}

extension FailureKind {
  /// The name that people see.
  public var name: String {
    switch self {
    case .error: "error"
    case .timedOut: "timeout"
    case .exited: "exit"
    case .invalidResponse: "invalid-response"
    case .payloadTooLarge: "payload-too-large"
    case .reportedNoProgress: "no-progress"
    case .throttled: "throttle"
    case .unavailable: "unavailable"
    }
  }
}

extension FailureCondition {
  /// The name as AWS writes it in failure documents.
  public var name: String {
    switch self {
    case .retryAttemptsExhausted: "RetryAttemptsExhausted"
    case .recordAgeExceeded: "RecordAgeExceeded"
    case .skipped: "Skipped"
    case .givenUp: "GivenUpByRule"
    }
  }
}
