public import ShardCore
public import StreamStore

/// Where the failure entries of a mapping go from the store.
///
/// An entry may come twice: what was accepted just before a crash is delivered again. Couriers call concurrently, up to
/// ``ShardCore/OutboxPolicy/inFlightLimit`` entries at once.
public protocol FailureDestination: Sendable {
  /// Takes the entry, durably, and says where it lies now. Throws when it could not: a ``DestinationFailure`` to say when
  /// to come again. When the task is cancelled, it should end soon.
  func accept(_ entry: FailureEntry) async throws -> String
}

/// Why a destination did not take an entry.
public struct DestinationFailure: Error, Hashable, Sendable, CustomStringConvertible {
  public var message: String
  /// How long the destination asked to be left alone, in milliseconds; `nil` if it did not.
  public var retryAfterMilliseconds: Int64?

  public init(_ message: String, retryAfterMilliseconds: Int64? = nil) {
    self.message = message
    self.retryAfterMilliseconds = retryAfterMilliseconds
  }

  public var description: String { message }
}

/// A destination, and how often and how long it is tried.
public struct DestinationPlan: Sendable {
  /// For people, such as `file:///var/failures`. Holds no password.
  public var name: String
  /// Makes the destination when the mapping is known.
  public var make: @Sendable (MappingInfo, StreamInfo) -> any FailureDestination
  public var policy: OutboxPolicy
  /// Whether an entry stays in the store once it is delivered, until somebody purges it.
  public var keepsDelivered: Bool

  public init(
    name: String, policy: OutboxPolicy = OutboxPolicy(), keepsDelivered: Bool = true,
    make: @escaping @Sendable (MappingInfo, StreamInfo) -> any FailureDestination
  ) {
    self.name = name
    self.make = make
    self.policy = policy
    self.keepsDelivered = keepsDelivered
  }
}
