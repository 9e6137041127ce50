import Locks
public import ShardCore
public import StreamModel
public import StreamStore

/// What operators ask and order while mappings run.
extension StreamPoller {
  /// Posts an operator's order to a lane. `false` if there is no such lane. What is noted goes with the records that
  /// the order is about.
  public func order(
    _ makeEvent: (LaneID) -> PollerEvent, mapping: String, shard: ShardNumber, slot: Int = 0,
    noting intervention: RecordEvent? = nil
  ) -> Bool {
    let lane = state.withLock { state -> LaneID? in
      guard let lanes = state.mappings.first(where: { $0.runner.name == mapping })?.lanes[shard] else { return nil }
      return lanes.indices.contains(slot) ? lanes[slot] : nil
    }
    guard let lane else { return false }
    // Before the order, which may make a failure entry at once.
    if let intervention { driver.note(intervention, of: lane) }
    driver.post(makeEvent(lane))
    return true
  }

  /// Where the failure entries of a mapping go from the store, for people; `nil` if they stay there, or the mapping does
  /// not run here.
  public func destination(of mapping: String) -> String? {
    state.withLock { $0.mappings.first { $0.runner.name == mapping }?.runner.courier?.plan.name }
  }

  /// Tells the courier of a mapping that an entry is to be delivered. `false` if the mapping has no destination but the
  /// store, or does not run here.
  public func deliver(_ entry: UInt64, of mapping: String) -> Bool {
    let courier = state.withLock { $0.mappings.first { $0.runner.name == mapping }?.runner.courier }
    courier?.entryStored(entry)
    return courier != nil
  }

  /// Which of the mapping's lanes on the shard has the record: 0 where there is one. `nil` if the mapping does not work
  /// on that shard here.
  public func slot(ofPartitionKey hash: UInt64, mapping: String, shard: ShardNumber) -> Int? {
    state.withLock { state in
      guard let lanes = state.mappings.first(where: { $0.runner.name == mapping })?.lanes[shard] else { return nil }
      return driver.look { _, runners in lanes.first.map { runners[$0.rawValue].place.sharing.slot(of: hash) } }
    }
  }

  /// What the lanes of a mapping look like now, by shard and slot. `nil` if the mapping does not run here.
  public func look(at mapping: String) -> [ShardNumber: [LaneLook]]? {
    state.withLock { state -> [ShardNumber: [LaneLook]]? in
      guard let mapping = state.mappings.first(where: { $0.runner.name == mapping }) else { return nil }
      return driver.look { poller, runners in
        mapping.lanes.mapValues { lanes in
          lanes.map { id in
            LaneLook(
              place: runners[id.rawValue].place, snapshot: poller.lane(id), progress: poller.progress(id),
              policy: mapping.settings.policy, history: runners[id.rawValue].currentHistory,
              ruleNames: mapping.runner.retryRules?.rules.map(\.name) ?? [],
              parkedKeys: poller.parkedKeys(id).map { key in
                ParkedKeyLook(
                  snapshot: key,
                  history: runners[id.rawValue].parkedHistories?.history(of: key.key, first: key.first)
                    ?? AttemptHistory())
              })
          }
        }
      }
    }
  }
}

/// A parked key as a running poller sees it.
public struct ParkedKeyLook: Hashable, Sendable {
  public var snapshot: ParkedKeySnapshot
  public var history: AttemptHistory
}

/// One lane as a running poller sees it.
public struct LaneLook: Hashable, Sendable {
  public var place: LanePlace
  public var snapshot: LaneSnapshot
  public var progress: LaneProgress
  public var policy: LanePolicy
  public var history: AttemptHistory
  /// The retry rules of the mapping, in their order.
  public var ruleNames: [String]
  public var parkedKeys: [ParkedKeyLook]
}
