import ShardCore
import StreamModel

/// What is true of the entries of an outbox, whatever the outbox believes.
///
/// An entry leaves the pending ones when its destination has it, when as many attempts have failed as the policy has, or
/// when an operator says so. Nothing else, and the second kind stays in the store.
struct DeliveryChecker {
  private struct Truth {
    /// The destination has it.
    var isAccepted = false
    /// In which life of the process it was accepted last, since it was stored.
    var acceptedInLife: Int?
    /// Attempts that failed since it was stored, or stored anew, and those of them that a crash or a stop forgot.
    var failed = 0
    var forgotten = 0
    /// Not to be tried again before this.
    var earliest: MonotonicTime?
    var isOnItsWay = false
    var isNoted = true
  }

  private var truths: [UInt64: Truth] = [:]
  private let policy: OutboxPolicy

  init(policy: OutboxPolicy) { self.policy = policy }

  mutating func stored(_ number: UInt64) {
    let former = truths[number]
    var truth = Truth()
    truth.isOnItsWay = former?.isOnItsWay ?? false
    truth.isAccepted = former?.isAccepted ?? false
    truths[number] = truth
  }

  mutating func purged(_ number: UInt64) { truths[number] = nil }

  mutating func restarted() {
    for number in truths.keys {
      truths[number]?.earliest = nil
      truths[number]?.isOnItsWay = false
      if truths[number]?.isNoted == false {
        truths[number]?.forgotten += 1
        truths[number]?.isNoted = true
      }
    }
  }

  // Each gives what is wrong, or `nil`.

  mutating func ordered(
    _ number: UInt64, attempt: Int, inFlight: Int, at now: MonotonicTime
  ) -> (Promise, String)? {
    guard attempt >= 1, attempt <= policy.attemptLimit else {
      return (.expiry, "attempt \(attempt) of entry \(number), and \(policy.attemptLimit) are allowed")
    }
    guard inFlight <= policy.inFlightLimit else {
      return (.bounds, "\(inFlight) entries on their way, and \(policy.inFlightLimit) are allowed")
    }
    guard let truth = truths[number] else { return nil }
    if let earliest = truth.earliest, now < earliest {
      return (.expiry, "entry \(number) was tried again before its wait was over")
    }
    return nil
  }

  mutating func begun(_ number: UInt64) -> (Promise, String)? {
    guard let truth = truths[number] else { return nil }
    truths[number]?.isOnItsWay = true
    return truth.isOnItsWay ? (.exclusivity, "entry \(number) is on its way twice") : nil
  }

  mutating func ended(_ number: UInt64) { truths[number]?.isOnItsWay = false }

  /// `true`: not for the first time.
  mutating func accepted(_ number: UInt64, inLife life: Int) -> (isAgain: Bool, (Promise, String)?) {
    guard let truth = truths[number] else { return (false, nil) }
    truths[number]?.isAccepted = true
    truths[number]?.acceptedInLife = life
    let isAgain = truth.acceptedInLife == life
    return (
      truth.isAccepted,
      isAgain ? (.exclusivity, "entry \(number) was delivered again, and nothing was forgotten") : nil
    )
  }

  /// `earliest`: the wait begins now and is at least as long.
  mutating func failed(_ number: UInt64, earliest: MonotonicTime) -> (Promise, String)? {
    guard truths[number] != nil else { return nil }
    truths[number]?.failed += 1
    truths[number]?.isNoted = false
    truths[number]?.earliest = earliest
    guard let truth = truths[number], truth.failed - truth.forgotten > policy.attemptLimit else { return nil }
    return (.expiry, "entry \(number) was tried \(truth.failed) times, and \(policy.attemptLimit) are allowed")
  }

  mutating func committed(_ note: OutboxStore.Note, _ row: OutboxStore.Row?) -> (Promise, String)? {
    guard let truth = truths[note.number] else { return nil }
    truths[note.number]?.isNoted = true
    switch note.outcome {
    case .delivered:
      return truth.isAccepted ? nil : (.delivery, "entry \(note.number) is noted as delivered, and it is not there")
    case .retry: return nil
    case .undeliverable(let attempts):
      guard attempts == policy.attemptLimit, truth.failed >= attempts else {
        return (.delivery, "entry \(note.number) is given up after \(truth.failed) of its attempts")
      }
      return row == nil ? (.delivery, "entry \(note.number) is undeliverable and not in the store any more") : nil
    }
  }

  /// A note came too late: the entry was stored anew, and its attempts count from there.
  mutating func overtaken(_ number: UInt64) { truths[number]?.isNoted = true }

  /// Each entry that nobody has purged is in the store, or was delivered.
  func check(_ rows: [UInt64: OutboxStore.Row]) -> (Promise, String)? {
    for (number, truth) in truths where rows[number] == nil {
      return (.delivery, "entry \(number) is gone" + (truth.isAccepted ? " but for its destination" : ""))
    }
    return nil
  }
}
