public import StreamModel

/// How far a failure entry has come on its way to its mapping's destination.
public struct FailureDelivery: Hashable, Sendable {
  public var state: State
  /// Attempts that failed, since the entry was stored or redelivery was asked for.
  public var attempts: Int
  /// When it is tried next, while it is pending; otherwise when it was delivered or given up.
  public var at: WallTime
  /// Where it lies once it is delivered; before, why the last attempt failed. Empty if there was none.
  public var detail: String

  /// The raw values are part of the format.
  public enum State: UInt8, Hashable, Sendable, CaseIterable {
    /// Stored, and to be delivered.
    case pending = 0
    case delivered = 1
    /// Its attempts are used up. It stays until somebody asks for redelivery or purges it.
    case undeliverable = 2
  }

  public init(state: State, attempts: Int, at: WallTime, detail: String) {
    self.state = state
    self.attempts = attempts
    self.at = at
    self.detail = detail
  }

  /// What a new entry begins with.
  public static func pending(since moment: WallTime) -> FailureDelivery {
    FailureDelivery(state: .pending, attempts: 0, at: moment, detail: "")
  }
}

/// What became of one entry's delivery.
public struct DeliveryNote: Hashable, Sendable {
  public var number: UInt64
  /// The entry as it was read. One that was purged or replaced since then is left as it is.
  public var createdAt: WallTime
  public var delivery: FailureDelivery
  /// Delete the entry: it was delivered, and nobody wants to keep it.
  public var deletes: Bool
  /// What the delivery had found there. An entry that somebody has asked to be delivered anew meanwhile keeps all its
  /// attempts, unless it was delivered. `nil`: whatever stands there.
  public var former: FailureDelivery?

  public init(
    number: UInt64, createdAt: WallTime, delivery: FailureDelivery, deletes: Bool = false,
    former: FailureDelivery? = nil
  ) {
    self.former = former
    self.number = number
    self.createdAt = createdAt
    self.delivery = delivery
    self.deletes = deletes
  }
}

/// An entry that waits for its delivery.
public struct PendingDelivery: Hashable, Sendable {
  public var number: UInt64
  public var attempts: Int
  public var retryAt: WallTime

  public init(number: UInt64, attempts: Int, retryAt: WallTime) {
    self.number = number
    self.attempts = attempts
    self.retryAt = retryAt
  }
}

/// The entries of a mapping that are not delivered.
public struct DeliveryCounts: Hashable, Sendable {
  public var pending = 0
  public var undeliverable = 0

  public init(pending: Int = 0, undeliverable: Int = 0) {
    self.pending = pending
    self.undeliverable = undeliverable
  }
}
