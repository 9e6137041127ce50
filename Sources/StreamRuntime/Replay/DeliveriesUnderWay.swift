import Locks
import ShardCore
import StreamModel

/// Deliveries of a replay whose handlers work while its time goes on.
///
/// The task of the replay starts, takes and stops them; each ends in a task of its own.
final class DeliveriesUnderWay {
  /// A delivery that ended.
  struct Ended: Sendable {
    var lane: LaneID
    var delivery: Delivery
    var begunAt: WallTime
    var answer: DeliveryAnswer
  }

  /// What the tasks of deliveries share with the one of the replay.
  private final class Mailbox: Sendable {
    let ended = Mutex<[Ended]>([])
    let bell = ReplayBell()

    func put(_ end: Ended) {
      ended.withLock { $0.append(end) }
      bell.ring()
    }
  }

  private struct Place: Hashable {
    var lane: LaneID
    var delivery: DeliveryID
  }

  private let mailbox = Mailbox()
  private var working: [Place: LaneRunner] = [:]

  /// Rings whenever one ends.
  var bell: ReplayBell { mailbox.bell }
  var count: Int { working.count }
  var lanes: [LaneID] { working.keys.map(\.lane) }

  func start(_ delivery: Delivery, of lane: LaneRunner, _ clock: VirtualClock) {
    working[Place(lane: lane.id, delivery: delivery.id)] = lane
    let (mailbox, begunAt) = (mailbox, clock.now.wall)
    lane.start {
      let (answer, _) = await lane.deliver(delivery) { clock.now }
      mailbox.put(Ended(lane: lane.id, delivery: delivery, begunAt: begunAt, answer: answer))
    }
  }

  /// Its time is over: the handler is told to end, and that is how it ends.
  func cancel(_ delivery: DeliveryID, of lane: LaneID) {
    working[Place(lane: lane, delivery: delivery)]?.cancel(delivery, because: .deadline)
  }

  /// Those that ended since the last time, in that order.
  func takeEnded() -> [Ended] {
    let ended = mailbox.ended.withLock { ended in
      defer { ended.removeAll(keepingCapacity: true) }
      return ended
    }
    for end in ended { working.removeValue(forKey: Place(lane: end.lane, delivery: end.delivery.id)) }
    return ended
  }

  /// Tells every handler to end, and returns when they have.
  func stop() async {
    for (place, lane) in working { lane.cancel(place.delivery, because: .stop) }
    while true {
      _ = takeEnded()
      if working.isEmpty { return }
      await mailbox.bell.rung()
    }
  }
}
