import ShardCore
import StreamModel

/// The settings of a world around an outbox, drawn from the seed. Each fault is off in some worlds.
struct OutboxScenario {
  var policy: OutboxPolicy
  /// Times in a thousand.
  var failures: Int
  var requestedWaits: Int
  var refusals: Int
  var crashes: Int
  var drains: Int
  var operators: Int
  var clockSteps: Int
  /// Time between two acts, in milliseconds, at most.
  var pace: Int
  var acts: Int

  /// Entries of one world at most.
  static let entryLimit: UInt64 = 48

  init(random: inout SplitMix64) {
    let first = Int64(random.within(1...2_000))
    policy = OutboxPolicy(
      attemptLimit: random.within(1...5),
      backoff: Backoff(
        firstMilliseconds: first, capMilliseconds: first * Int64(random.within(1...20)),
        jitterPercent: random.within(0...40)),
      inFlightLimit: random.within(1...4), entryLimit: random.within(1...8),
      longestRequestedWaitMilliseconds: Int64(random.within(0...30_000)),
      storeRetryMilliseconds: Int64(random.within(1...2_000)))
    func times(_ limit: Int) -> Int { random.chance(500) ? random.within(1...limit) : 0 }
    failures = times(900)
    requestedWaits = times(500)
    refusals = times(300)
    crashes = times(60)
    drains = times(40)
    operators = times(120)
    clockSteps = times(60)
    pace = random.within(1...3_000)
    acts = random.within(50...400)
  }
}

/// What is broken on purpose, to see that it is noticed.
public enum OutboxSabotage: CaseIterable, Sendable {
  /// A read leaves out an entry that waits.
  case overlooksEntries
  /// What the destination refused is told as accepted.
  case believesInDelivery
  /// A note holds although somebody asked for the entry to be delivered anew meanwhile.
  case overwritesRedelivery
  /// The attempts so far are not stored.
  case forgetsAttempts
  /// A delivery is carried out twice.
  case deliversTwice
  /// The timer is never armed.
  case losesTimers
  /// The outbox has a clock that runs ahead.
  case hurries
  /// What is undeliverable is taken out of the store.
  case dropsUndeliverable

  /// The promise that is broken.
  public var promise: Promise {
    switch self {
    case .believesInDelivery, .overwritesRedelivery, .dropsUndeliverable: .delivery
    case .hurries: .expiry
    case .deliversTwice: .exclusivity
    // An attempt that finds another count than it was ordered with waits for somebody to have asked for redelivery.
    case .overlooksEntries, .losesTimers, .forgetsAttempts: .liveness
    }
  }
}

/// How often each thing happened in worlds around an outbox.
public struct OutboxCoverage: Hashable, Sendable, CustomStringConvertible {
  public enum Point: Int, CaseIterable, Sendable {
    case entry, redelivered, redeliveredInFlight, purged, purgedInFlight
    case accepted, acceptedAgain, failed, requestedWait, notAttempted
    case noted, noteOvertaken, noteRefused, loadRefused, delivered, undeliverable
    case crash, crashAfterCommit, drained, stopped, clockStep, timer
  }

  private var counts = [UInt64](repeating: 0, count: Point.allCases.count)

  public init() {}

  public subscript(point: Point) -> UInt64 { counts[point.rawValue] }

  mutating func count(_ point: Point) { counts[point.rawValue] &+= 1 }

  /// Points that were never reached.
  public var missing: [Point] { Point.allCases.filter { self[$0] == 0 } }

  public mutating func add(_ other: OutboxCoverage) {
    for place in counts.indices { counts[place] &+= other.counts[place] }
  }

  public var description: String { Point.allCases.map { "\($0) \(self[$0])" }.joined(separator: "\n") }
}
