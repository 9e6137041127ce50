public import StreamModel

/// One delivery that failed, in words: what `explain` and a failure entry show.
public struct Attempt: Hashable, Sendable, Codable {
  /// Milliseconds since 1970.
  public var startedAt: Int64
  public var durationMilliseconds: Int64
  /// The name of the ``FailureKind``.
  public var kind: String
  public var type: String
  public var message: String
  public var trace: [String]
  /// The id of the invocation; the same for all retries of an unchanged batch.
  public var requestID: String

  public init(
    startedAt: Int64, durationMilliseconds: Int64, kind: String, type: String, message: String, trace: [String],
    requestID: String
  ) {
    self.startedAt = startedAt
    self.durationMilliseconds = durationMilliseconds
    self.kind = kind
    self.type = type
    self.message = message
    self.trace = trace
    self.requestID = requestID
  }
}

/// The failed deliveries of the batch at the head of a lane, oldest first.
///
/// Bounded: the first ``firstKept`` and the last ``lastKept`` are kept; the ones between are counted.
public struct AttemptHistory: Hashable, Sendable, Codable {
  public private(set) var attempts: [Attempt] = []
  public private(set) var omitted = 0

  public static let firstKept = 2
  public static let lastKept = 8
  /// Longer messages and traces are cut, so that one handler cannot fill the store with its complaints.
  public static let messageByteLimit = 4_096
  public static let traceLineLimit = 64

  public init() {}

  init(attempts: [Attempt], omitted: Int) {
    self.attempts = attempts
    self.omitted = omitted
  }

  public var last: Attempt? { attempts.last }
  public var isEmpty: Bool { attempts.isEmpty }

  public mutating func append(_ attempt: Attempt) {
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
    }
  }
}
