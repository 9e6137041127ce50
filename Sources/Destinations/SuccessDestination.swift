public import LambdaRuntime
public import StreamModel
import StreamRuntime

/// Where the results of asynchronous invocations go: `DestinationConfig.OnSuccess`.
///
/// The event is done only when its result was accepted, or was refused as often as ``StreamRuntime/ResultCourier`` tries: a worker that ends before
/// that invokes the function again.
public struct SuccessDestination: Sendable {
  /// Where documents go.
  public enum Place: Sendable {
    case folder(DocumentFolder)
    case endpoint(DocumentEndpoint)
  }

  private let place: Place
  private let function: String
  private let identity: EventIdentity
  private let now: @Sendable () -> WallTime

  /// How long an endpoint may take to answer.
  public static let timeoutMilliseconds: Int64 = 5_000
  /// All attempts and waits together take less.
  public static let longestTime = Duration.seconds(20)

  public init(
    _ place: Place, function: String, identity: EventIdentity = EventIdentity(), now: @escaping @Sendable () -> WallTime
  ) {
    self.place = place
    self.function = function
    self.identity = identity
    self.now = now
  }

  /// Delivers what an invocation returned. Throws the failure of the last attempt.
  public func accept(_ requestID: String, event: [UInt8], result: [UInt8]) async throws {
    let time = now()
    let document = InvocationDocument(
      requestID: requestID, functionARN: identity.functionARN(function), condition: "Success",
      approximateInvokeCount: 1, event: event, response: .result(result), timestamp: time
    ).encoded()
    let key = ObjectKey(
      mappingID: "async", shardID: function, timestamp: time, documentID: NameUUID.make("success \(requestID)"))
    try await ResultCourier.deliver {
      switch place {
      case .folder(let folder): _ = try folder.write(document, at: key)
      case .endpoint(let endpoint): _ = try await endpoint.post(document, as: key)
      }
    }
  }
}
