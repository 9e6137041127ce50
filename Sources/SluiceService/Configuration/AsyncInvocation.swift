import Destinations
import Foundation
import ShardCore
public import Sluice
import StreamModel
import StreamRuntime

/// `async` of a function: events that are put away durably and handed to it one by one, as AWS's asynchronous
/// invocation does. It is a stream of its own and a mapping of that to the function, in which each event is a partition
/// key of its own, so that one that fails holds up no other.
public struct AsyncInvocation: Hashable, Sendable {
  /// `MaximumRetryAttempts`, 0 … 2.
  public var maximumRetryAttempts = 2
  /// `MaximumEventAgeInSeconds`, 60 s … 6 h.
  public var maximumEventAge = Duration.seconds(21_600)
  /// Before the first retry after an error of the function; the second waits twice as long.
  public var firstRetryWait = Duration.seconds(60)

  /// `DestinationConfig.OnFailure` and our `onFailure`: where an event goes that failed for good.
  public var onFailure = OnFailure()
  /// `DestinationConfig.OnSuccess`: where what the function returned goes; `store`: nowhere.
  public var onSuccess = OnFailure.Destination.store

  public init() {}

  static let retryAttempts = 0...2
  static let eventAgeSeconds = 60...21_600
  static let retryWaits = Duration.milliseconds(1) ... .seconds(3_600)
  /// Lanes of a shard; a stream has more shards where the function runs more at once.
  private static let lanesOfShard = 10

  /// The stream that holds the events of a function, and its mapping.
  public static func name(for function: String) -> String { "async.\(function)" }

  /// The wait for the first retry, and twice that for the second, exactly.
  var backoff: Backoff {
    let first = firstRetryWait.wholeMilliseconds
    return Backoff(firstMilliseconds: first, capMilliseconds: 2 * first, jitterPercent: 0)
  }

  /// When the function has no room, or cannot be called: from 1 s to 5 min, and no attempt is used up.
  private static let whenThrottled = RetryRule(
    "throttled", kinds: [.throttled, .unavailable],
    then: .retry(
      usesAttempt: false, Backoff(firstMilliseconds: 1_000, capMilliseconds: 300_000, jitterPercent: 20)))

  func stream(for function: FunctionConfiguration) -> StreamConfiguration {
    var stream = StreamConfiguration(name: Self.name(for: function.name))
    stream.shards = (function.concurrency + Self.lanesOfShard - 1) / Self.lanesOfShard
    return stream
  }

  func mapping(for function: FunctionConfiguration) -> MappingConfiguration {
    let name = Self.name(for: function.name)
    var mapping = MappingConfiguration(name: name, stream: name, function: function.name)
    mapping.asyncInvocation = self
    mapping.batchSize = 1
    mapping.parallelizationFactor = Self.lanesOfShard
    mapping.maximumRetryAttempts = maximumRetryAttempts
    mapping.maximumRecordAge = maximumEventAge
    mapping.blocking = .key(
      keys: EventSourceMapping.Blocking.keyLimits.upperBound, records: 1_000_000,
      deliveries: EventSourceMapping.Blocking.deliveryLimits.upperBound)
    mapping.retryRules = [Self.whenThrottled]
    mapping.onFailure = onFailure
    return mapping
  }

  /// `nil` where nobody wants to know what the function returned.
  func successDestination(of function: String) -> SuccessDestination? {
    let place: SuccessDestination.Place
    switch onSuccess {
    case .store: return nil
    case .directory(let path): place = .folder(DocumentFolder(path: path))
    case .http(let url):
      place = .endpoint(DocumentEndpoint(url: url, timeoutMilliseconds: SuccessDestination.timeoutMilliseconds))
    }
    return SuccessDestination(place, function: function) {
      WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
    }
  }
}
