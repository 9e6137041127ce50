import Destinations
import LambdaRuntime
public import ShardCore
import StreamModel
public import StreamRuntime
import StreamStore

/// `DestinationConfig.OnFailure`: where a batch goes that leaves without success, and how.
///
/// It is stored first, with its records and its attempts, in every case. From there it goes to the destination, at least
/// once: what was accepted just before a crash comes again.
///
/// ```swift
/// orders.onFailure = .directory("/var/failures")
/// orders.onFailure.attempts = 20
/// ```
public struct OnFailure: Hashable, Sendable {
  public var destination: Destination
  /// `DeadLetterConfig.TargetArn`, of asynchronous invocations: where the event itself goes, with the attributes `RequestID`,
  /// `ErrorCode` and `ErrorMessage`, besides the document that goes to the destination. `store`: nowhere.
  public var deadLetter = Destination.store
  /// Whether the document holds the event with all records, as in S3; otherwise it names them only, as in SQS and SNS.
  public var includesPayload = true
  /// Attempts to deliver one entry, 1 ... 1,000. Then it is undeliverable and stays in the store.
  public var attempts = 12
  /// The waits between them.
  public var backoff = Backoff.destination
  /// How long an endpoint may take to answer, 1 ms ... 15 min.
  public var timeout: Duration = .seconds(30)
  /// Whether an entry stays in the store once it is delivered, until it is purged.
  public var keepsDelivered = true
  /// How long an entry stays in the store, from when it was made: 1 minute ... 3,650 days, or as the store says for all
  /// mappings. One that waits for its delivery, or whose redrive is under way, stays until that has ended.
  public var keepFor = FailureRetention.ofStore

  public enum Destination: Hashable, Sendable {
    /// The entry stays where it is.
    case store
    /// A file for each entry below this directory, named as in S3.
    case directory(String)
    /// A POST to this URL for each entry.
    case http(String)
  }

  public init(_ destination: Destination = .store) {
    self.destination = destination
  }

  public static let store = OnFailure(.store)
  public static func directory(_ path: String) -> OnFailure { OnFailure(.directory(path)) }
  public static func http(_ url: String) -> OnFailure { OnFailure(.http(url)) }

  /// Everything that breaks a rule.
  var problems: [String] {
    var problems: [String] = []
    if !(1...1_000).contains(attempts) { problems.append("onFailure.attempts is \(attempts): allowed are 1 to 1,000") }
    if !(Duration.milliseconds(1) ... .seconds(900)).contains(timeout) {
      problems.append("onFailure.timeout is \(timeout): allowed are 1 ms to 15 minutes")
    }
    if case .milliseconds(let milliseconds) = keepFor, !FailureRetention.allowed.contains(.milliseconds(milliseconds)) {
      problems.append("onFailure.keepFor is \(milliseconds) ms: allowed are 1 minute to 3,650 days")
    }
    problems += destination.problems(of: "onFailure") + deadLetter.problems(of: "onFailure.deadLetter")
    return problems
  }
}

extension FailureRetention {
  /// What may be set.
  package static let allowed: ClosedRange<Duration> = .seconds(60)...(.seconds(3_650 * 86_400))
}

extension OnFailure.Destination {
  /// What is wrong with it where it stands under this name.
  func problems(of name: String) -> [String] {
    switch self {
    case .store: return []
    case .directory(let path): return path.isEmpty ? ["\(name) names a directory without a name"] : []
    case .http(let url):
      guard !url.hasPrefix("http://"), !url.hasPrefix("https://") else { return [] }
      return ["\(name) is \(url): a URL begins with http:// or https://"]
    }
  }
}

extension OnFailure.Destination: CustomStringConvertible {
  public var description: String {
    switch self {
    case .store: "store"
    case .directory(let path): path.hasPrefix("/") ? "file://\(path)" : path
    case .http(let url): url
    }
  }
}

extension EventSourceMapping {
  /// `nil` if failures stay in the store.
  func destinationPlan(_ identity: EventIdentity) -> DestinationPlan? {
    let (onFailure, function) = (onFailure, function ?? name)
    let contents: EntryDocuments.Contents = holdsInvocations ? .invocations : .records
    let places = [onFailure.destination, onFailure.deadLetter].filter { $0 != .store }
    guard !places.isEmpty else { return nil }
    return DestinationPlan(
      name: places.map { "\($0)" }.joined(separator: " and "),
      policy: OutboxPolicy(attemptLimit: onFailure.attempts, backoff: onFailure.backoff),
      keepsDelivered: onFailure.keepsDelivered
    ) { mapping, stream in
      let documents = EntryDocuments(
        mapping: mapping, stream: stream, function: function, identity: identity, contents: contents)
      let all = onFailure.documentDestination(documents) + onFailure.deadLetterDestination(documents)
      return all.count == 1 ? all[0] : CombinedDestination(all)
    }
  }
}

extension OnFailure {
  /// None, or the one that failure documents go to.
  fileprivate func documentDestination(_ documents: EntryDocuments) -> [any FailureDestination] {
    switch destination {
    case .store: []
    case .directory(let path):
      [DirectoryDestination(path: path, documents: documents, includesPayload: includesPayload)]
    case .http(let url):
      [
        HTTPDestination(
          url: url, documents: documents, includesPayload: includesPayload,
          timeoutMilliseconds: timeout.inMilliseconds)
      ]
    }
  }

  /// None, or the one that dead letters go to.
  fileprivate func deadLetterDestination(_ documents: EntryDocuments) -> [any FailureDestination] {
    switch deadLetter {
    case .store: []
    case .directory(let path): [DeadLetterDestination(.folder(DocumentFolder(path: path)), documents: documents)]
    case .http(let url):
      [
        DeadLetterDestination(
          .endpoint(DocumentEndpoint(url: url, timeoutMilliseconds: timeout.inMilliseconds)), documents: documents)
      ]
    }
  }
}
