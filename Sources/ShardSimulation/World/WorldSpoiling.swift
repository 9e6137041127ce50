import ShardCore
import StreamModel

extension World {
  /// Falsifies the poller's orders before they are carried out.
  mutating func spoil(_ sabotage: Sabotage) {
    guard !effects.isEmpty else { return }
    switch sabotage {
    case .deliversSettledRecord, .deliversPastUnsettledRecord, .miscountsAttempts, .movesCheckpointAhead,
      .losesParkedRecords, .losesWindowState, .movesWindows, .endsWindowsTooEarly, .forgetsWindows:
      for place in effects.indices { effects[place] = spoiled(effects[place], sabotage) }
    case .deliversTwice:
      if let delivery = effects.first(where: { if case .deliver = $0 { true } else { false } }) {
        effects.append(delivery)
      }
    case .floods:
      let all = effects
      for _ in 0..<100 { effects += all }
    case .forgetsBounds, .losesFailureEntries, .storesWritesApart, .forgetsHindmostLane, .forgetsForemostLane,
      .forgetsParents,
      .losesTimers, .losesChanges, .loosensStoreBound, .sendsToTheBack, .ignoresClosing, .keepsFormerLimits,
      .forgetsRetryRules, .forgetsShadows, .deliversParkedKeys, .loosensParking, .forgetsSettledKeys,
      .inventsSettledKeys,
      .forgetsCrashes, .inventsRedeliveries, .hidesOversizedRecords, .deliversLoops, .losesPuts:
      break
    }
  }

  /// A pause and its end, of which the checkers are not told: the lane stands behind all others again.
  mutating func sendToTheBack(_ lane: Int) {
    guard lane < poller.laneCount, poller.waitsForTurn(LaneID(lane)) else { return }
    let formerLife = life
    send(.pauseRequested(LaneID(lane)))
    if life == formerLife { send(.resumeRequested(LaneID(lane))) }
  }

  private func spoiled(_ effect: PollerEffect, _ sabotage: Sabotage) -> PollerEffect {
    switch effect {
    case .deliver(let lane, var delivery) where delivery.source == .shard:
      let first = delivery.extent.first.rawValue
      if sabotage == .deliversSettledRecord, first > 0 { delivery.extent.first = RecordIndex(first - 1) }
      if sabotage == .deliversPastUnsettledRecord { delivery.extent.first = RecordIndex(first + 1) }
      if sabotage == .miscountsAttempts { delivery.attempt += 1 }
      if let window = delivery.window { spoil(&delivery, in: window, sabotage) }
      return .deliver(lane, delivery)
    case .storeProgress(let lane, var progress, let revision):
      if sabotage == .movesCheckpointAhead { progress.next = progress.next.advanced(by: 1) }
      if sabotage == .losesParkedRecords { progress.parkedRecords = [] }
      if sabotage == .forgetsWindows { progress.window = nil }
      return .storeProgress(lane, progress, revision: revision)
    case .read, .deliver, .cancelHandler, .keepWrites, .storeFailure, .settleRedrive, .armTimer, .tooLarge,
      .recursiveLoop, .countLost,
      .mappingClosed, .drained:
      return effect
    }
  }

  private func spoil(_ delivery: inout Delivery, in window: OpenWindow, _ sabotage: Sabotage) {
    switch sabotage {
    case .losesWindowState: delivery.window = OpenWindow(window.bounds)
    case .movesWindows:
      let length = window.bounds.end.milliseconds - window.bounds.start.milliseconds
      let moved = TimeWindow(holding: window.bounds.end, lengthMilliseconds: length)
      delivery.window = OpenWindow(moved, state: window.state)
    case .endsWindowsTooEarly where window.state != .empty:
      delivery.source = .windowEnd
      delivery.extent = .empty(at: delivery.extent.first, arrival: window.bounds.end)
    default: break
    }
  }
}
