import StreamModel

/// Where the parked keys of a lane are delivered from, one key at a time, beside the lane's own batches. A lane that
/// blocks by key has some of them.
struct KeyTrack: Hashable {
  let id: LaneID
  var phase = Phase.idle
  /// When the phase ends by itself; for an idle track, when the next key is due.
  var due: MonotonicTime?
  var lastDelivery: UInt64 = 0
  var lastTicket: UInt64 = 0

  enum Phase: Hashable {
    /// No key is due. Holds nothing.
    case idle
    /// In the ready ring for this key.
    case ready(PartitionKeyHash)
    /// Waits for the key's records. Holds a permit unless they are given up.
    case reading(PartitionKeyHash, isSkip: Bool)
    /// The handler works. Holds a permit and the deadline.
    case delivering(PartitionKeyHash, Delivery)
    /// The handler was told to end. Holds a permit.
    case cancelling(PartitionKeyHash, Delivery, LanePhase.Cancellation)
    /// Records of the key leave as a failure entry that is not durable yet.
    indirect case storingFailure(PartitionKeyHash, LanePhase.Leaving, ticket: UInt64)
    /// The store refused the failure entry. Holds the key.
    indirect case failureRefused(PartitionKeyHash, LanePhase.Leaving)
  }

  init(id: LaneID) {
    self.id = id
  }

  var key: PartitionKeyHash? {
    switch phase {
    case .idle: nil
    case .ready(let key), .reading(let key, _), .delivering(let key, _), .cancelling(let key, _, _),
      .storingFailure(let key, _, _), .failureRefused(let key, _):
      key
    }
  }

  var delivery: Delivery? {
    switch phase {
    case .delivering(_, let delivery), .cancelling(_, let delivery, _): delivery
    case .idle, .ready, .reading, .storingFailure, .failureRefused: nil
    }
  }

  var isIdle: Bool {
    if case .idle = phase { true } else { false }
  }

  var isReady: Bool {
    if case .ready = phase { true } else { false }
  }

  var holdsPermit: Bool {
    switch phase {
    case .delivering, .cancelling: true
    case .reading(_, let isSkip): !isSkip
    case .idle, .ready, .storingFailure, .failureRefused: false
    }
  }

  /// Whether an answer is outstanding that must come before the track can rest.
  var isInFlight: Bool {
    switch phase {
    case .reading, .delivering, .cancelling, .storingFailure: true
    case .idle, .ready, .failureRefused: false
    }
  }
}
