/// A handler's verdict on a batch.
public enum HandlerOutcome: Hashable, Sendable {
  /// Every record of the batch is done.
  case succeeded
  /// The records before this one are done; this one and all behind it are delivered again.
  case failed(at: SequenceNumber)
  /// These records failed and every other one is done. From the first of them on all are delivered again, as on AWS; in a
  /// mapping with an idempotency store, these alone. Empty: all are done.
  case failedRecords([SequenceNumber])
}

/// What went wrong with one delivery: thrown by a handler or found by the one that called it.
public struct HandlerFailure: Error, Hashable, Sendable {
  public var kind: FailureKind
  /// The error's type in the words of the handler's language, such as `KeyError` or `Sandbox.Timedout`.
  public var type: String
  public var message: String
  /// The traceback, innermost frame last. May be empty.
  public var trace: [String]

  public init(kind: FailureKind, type: String, message: String, trace: [String] = []) {
    self.kind = kind
    self.type = type
    self.message = message
    self.trace = trace
  }

  /// The type of an attempt that an operator ended: its records were given up while the handler had them.
  public static let stoppedType = "Stopped"
}

/// The kinds of failed delivery that the core tells apart.
public enum FailureKind: UInt8, Hashable, Sendable, CaseIterable {
  /// The handler raised, or returned an error.
  case error = 0
  /// The handler was not done at its deadline.
  case timedOut = 1
  /// The process of the handler ended.
  case exited = 2
  /// The answer was not readable, or named a record that was not in the batch.
  case invalidResponse = 3
  /// The batch alone is larger than a handler can take.
  case payloadTooLarge = 4
  /// The verdict was that the first record failed: no progress.
  case reportedNoProgress = 5
  /// The handler was not called: no capacity. Uses up no retry attempt.
  case throttled = 6
  /// The handler was not called: it could not be started. Uses up no retry attempt.
  case unavailable = 7

  /// The handler was called and had the records.
  public var isOfHandler: Bool {
    switch self {
    case .error, .timedOut, .exited, .invalidResponse, .reportedNoProgress: true
    case .payloadTooLarge, .throttled, .unavailable: false
    }
  }

  /// Whether a delivery that ended like this counts against `MaximumRetryAttempts`.
  public var usesAttempt: Bool {
    switch self {
    case .error, .timedOut, .exited, .invalidResponse, .payloadTooLarge, .reportedNoProgress: true
    case .throttled, .unavailable: false
    }
  }
}

/// Why a batch left its lane without success.
public enum FailureCondition: UInt8, Hashable, Sendable, CaseIterable {
  case retryAttemptsExhausted = 0
  case recordAgeExceeded = 1
  /// An operator skipped it.
  case skipped = 2
  /// It failed in a way of which a retry rule says that nothing will help.
  case givenUp = 3
  /// It comes from as many invocations, one after the other, as may be: a function's output feeds its own input.
  case recursiveInvocation = 4
}
