public import StreamModel
public import StreamStore

/// The failed deliveries of records that are not settled, oldest first: those of the batch at the head of a lane, and
/// those of the larger batches that it was cut from.
///
/// Bounded: the first ``firstKept`` and the last ``lastKept`` are kept; the ones between are counted.
public struct AttemptHistory: Hashable, Sendable {
  public private(set) var attempts: [AttemptRecord] = []
  public private(set) var omitted = 0

  public static let firstKept = 4
  public static let lastKept = 28
  /// Of so many of the newest the whole message and trace are kept.
  public static let wholeKept = 8
  /// Longer messages and traces are cut, so that one handler cannot fill the store with its complaints.
  public static let messageByteLimit = 4_096
  public static let traceLineLimit = 64
  /// What is kept of the message of an older one; its trace is dropped.
  public static let olderMessageByteLimit = 512

  public init() {}

  init(attempts: [AttemptRecord], omitted: Int) {
    self.attempts = attempts
    self.omitted = omitted
  }

  public var last: AttemptRecord? { attempts.last }

  /// The newest one that is like that.
  public func last(where isMeant: (AttemptRecord) -> Bool) -> AttemptRecord? { attempts.last(where: isMeant) }

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
    if attempts.count >= Self.firstKept + Self.lastKept {
      attempts.remove(at: Self.firstKept)
      omitted += 1
    }
    attempts.append(attempt)
    if attempts.count > Self.wholeKept { abridge(attempts.count - Self.wholeKept - 1) }
  }

  private mutating func abridge(_ position: Int) {
    attempts[position].trace = []
    attempts[position].message = attempts[position].message.cut(toUTF8: Self.olderMessageByteLimit)
  }

  public mutating func removeAll() {
    attempts.removeAll(keepingCapacity: true)
    omitted = 0
  }

  /// The first `count` records of those whose story this is are settled: what is left is the story of the others.
  mutating func settle(_ count: Int) {
    for position in attempts.indices {
      guard let known = attempts[position].batch?.position else { continue }
      attempts[position].batch?.position = known + count
    }
    forget { batch in
      guard let batch else { return true }
      return batch.position.map { $0 >= batch.count } ?? false
    }
  }

  /// A new batch begins at the record at `index`.
  mutating func begin(at index: RecordIndex) {
    forget { batch in
      guard let batch else { return true }
      return batch.count > 0 && batch.last < index
    }
    for position in attempts.indices {
      if let place = attempts[position].batch?.position(of: index) { attempts[position].batch?.position = place }
    }
  }

  /// Records went a way that nobody has counted: where others stand between, positions are not known any more.
  mutating func forgetPositions() {
    for position in attempts.indices where attempts[position].batch?.isDense == false {
      attempts[position].batch?.position = nil
    }
  }

  /// What was left out was of batches like those that are forgotten.
  private mutating func forget(_ isOver: (AttemptedBatch?) -> Bool) {
    attempts.removeAll { isOver($0.batch) }
    if attempts.isEmpty { omitted = 0 }
  }

  /// The part of the story that is about the records from `index` on: of the first of them, if they are some of a batch.
  func story(from index: RecordIndex, settled count: Int = 0) -> AttemptHistory {
    var story = self
    // A failing final invocation of a window is nobody's record: settling none of them would leave it out.
    if count > 0 { story.settle(count) }
    story.begin(at: index)
    return story
  }

  /// The part of the story that concerns the record at `index`, and where it stood each time if that is known.
  public func attempts(of index: RecordIndex) -> [AttemptRecord] {
    attempts.compactMap { attempt in
      guard let batch = attempt.batch else { return attempt }
      guard batch.count > 0, index >= batch.first, index <= batch.last else { return nil }
      return attempt
    }
  }
}

extension AttemptRecord {
  /// It delivered just the batch at hand: it is one of its attempts, and not one of a larger batch.
  public func isOf(first: RecordIndex, count: Int) -> Bool {
    batch.map { $0.first == first && $0.count == count } ?? true
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
    case .recursiveInvocation: "RecursiveInvocation"
    }
  }
}
