import Destinations
import LambdaRuntime
public import ShardCore
import StreamModel
import StreamRuntime
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
    switch destination {
    case .store: break
    case .directory(let path): if path.isEmpty { problems.append("onFailure names a directory without a name") }
    case .http(let url):
      if !url.hasPrefix("http://"), !url.hasPrefix("https://") {
        problems.append("onFailure is \(url): a URL begins with http:// or https://")
      }
    }
    return problems
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
    let policy = OutboxPolicy(attemptLimit: onFailure.attempts, backoff: onFailure.backoff)
    func plan(
      _ make: @escaping @Sendable (EntryDocuments) -> any FailureDestination
    ) -> DestinationPlan {
      DestinationPlan(
        name: "\(onFailure.destination)", policy: policy, keepsDelivered: onFailure.keepsDelivered
      ) { mapping, stream in
        make(
          EntryDocuments(
            mapping: mapping, stream: stream, function: function, identity: identity, contents: contents))
      }
    }
    switch onFailure.destination {
    case .store: return nil
    case .directory(let path):
      return plan {
        DirectoryDestination(path: path, documents: $0, includesPayload: onFailure.includesPayload)
      }
    case .http(let url):
      return plan {
        HTTPDestination(
          url: url, documents: $0, includesPayload: onFailure.includesPayload,
          timeoutMilliseconds: onFailure.timeout.inMilliseconds)
      }
    }
  }
}
