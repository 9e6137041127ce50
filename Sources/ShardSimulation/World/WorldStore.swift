import ShardCore
import StreamModel

/// The store: what it was told is first uncommitted, then committed, then answered; a crash may come in between.
extension World {
  mutating func storeProgress(_ lane: Int, _ progress: LaneProgress, _ revision: UInt64) {
    violate(.exclusivity, ExclusivityChecker.checkProgress(in: store.lanes[lane]), lane)
    if lanes[lane].blocksByKey {
      checkProgressByKey(progress, revision, lane)
    } else {
      violate(
        .checkpoint,
        CheckpointChecker.check(progress, revision: revision, in: lanes[lane], of: store.shards[lanes[lane].shard]),
        lane)
      violate(.completeness, CompletenessChecker.check(progress, in: lanes[lane]), lane)
      violate(.windows, WindowChecker.check(progress, in: lanes[lane]), lane)
    }
    store.storeProgress(progress, revision: revision, effects: lanes[lane].kept, lane)
    lanes[lane].kept = RecordSet()
    lanes[lane].lastRevision = revision
    lanes[lane].progressBatches = lanes[lane].settledBatches
    uncommitted |= bit(lane)
  }

  mutating func storeFailure(_ lane: Int, _ order: FailureOrder, _ ticket: UInt64) {
    let shard = store.shards[lanes[lane].shard]
    violate(.exclusivity, ExclusivityChecker.checkFailure(ticket: ticket, in: lanes[lane], store.lanes[lane]), lane)
    if lanes[lane].blocksByKey {
      checkByKey(order, lane)
    } else {
      lanes[lane].pass(to: Int(order.extent.first.rawValue), in: shard)
      violate(.order, OrderChecker.check(order, in: lanes[lane], of: shard), lane)
      violate(.blocking, BlockingChecker.check(order, in: lanes[lane]), lane)
      if order != lanes[lane].refused {
        violate(
          .expiry,
          ExpiryChecker.check(
            order, in: lanes[lane], of: shard, scenario.policies[lanes[lane].mapping], wall: max(wall, wallBeforeStep)),
          lane)
      }
    }
    let own = lanes[main(of: lane)].selection
    let records =
      lanes[lane].blocksByKey ? lanes[lane].leaving : LineageChecker.records(of: order.extent, own, of: shard)
    violate(.recursion, LineageChecker.check(order, records, of: shard, policy(of: lane)), lane)
    violate(.settings, SettingsChecker.check(order, isShadow: policy(of: lane).isShadow), lane)
    lanes[lane].refused = nil
    switch order.condition {
    case .retryAttemptsExhausted: coverage.count(.exhausted)
    case .recordAgeExceeded:
      coverage.count(.expired)
      if order.extent.count < lanes[lane].readCount { coverage.count(.expiredHeadOnly) }
    case .skipped: coverage.count(.skipped)
    case .givenUp: coverage.count(.givenUp)
    case .recursiveInvocation: coverage.count(.stoppedLoop)
    }
    store.storeFailure(order, ticket: ticket, lane)
    lanes[lane].lastTicket = ticket
    uncommitted |= bit(lane)
  }

  /// Writes of this lane become durable.
  mutating func commit(_ lane: Int) {
    if store.lanes[lane].failureState == .uncommitted {
      coverage.count(.failureCommitted)
      store.commitFailure(lane)
      unanswered |= bit(lane)
      if sabotage != .losesFailureEntries, lanes[lane].blocksByKey {
        setFate(lanes[lane].leaving, CompletenessChecker.handedOver, lane)
      } else if sabotage != .losesFailureEntries {
        let extent = store.lanes[lane].failure.extent
        let tags = store.shards[lanes[lane].shard].tags
        for index in Int(extent.first.rawValue)..<Int(extent.end.rawValue)
        where lanes[lane].selection.selects(tags[index], at: index) {
          fates[fatesOfLane(lane) + index] |= CompletenessChecker.handedOver
        }
      }
    }
    if store.lanes[lane].progressState == .uncommitted {
      coverage.count(.progressCommitted)
      let progress = store.lanes[lane].progress
      if lanes[lane].blocksByKey {
        checkCommitByKey(lane)
      } else {
        violate(
          .checkpoint,
          CheckpointChecker.checkCommit(progress, in: store.lanes[lane], of: store.shards[lanes[lane].shard]), lane)
        violate(
          .completeness,
          CompletenessChecker.checkCommit(
            progress, in: lanes[lane], store.lanes[lane], of: store.shards[lanes[lane].shard], fates: fates,
            at: fatesOfLane(lane)), lane)
      }
      if policy(of: lane).keepsWrites {
        if !store.lanes[lane].effectsUnderWay.isEmpty { coverage.count(.effectsCommitted) }
        if scenario.settlesKeys.contains(lanes[lane].mapping) {
          if !store.lanes[lane].effectsUnderWay.isEmpty { coverage.count(.keysStored) }
          violate(
            .idempotency, KeysChecker.checkCommit(store.lanes[lane], fates: fates, at: fatesOfLane(lane)), lane)
        } else {
          violate(.exactlyOnce, EffectsChecker.checkCommit(progress, in: lanes[lane], store.lanes[lane]), lane)
        }
      }
      if progress.isFinished, !store.lanes[lane].committed.isFinished { coverage.count(.finished) }
      store.commitProgress(lane)
      unanswered |= bit(lane)
    }
    uncommitted &= ~bit(lane)
  }

  /// The store does not take a write of this lane.
  mutating func refuse(_ lane: Int) {
    let stored = store.lanes[lane]
    let refusesFailure =
      stored.failureState == .uncommitted && (stored.progressState != .uncommitted || random.chance(500))
    refuse(lane, failure: refusesFailure)
  }

  mutating func refuse(_ lane: Int, failure refusesFailure: Bool) {
    lastLane = lane
    if refusesFailure {
      coverage.count(.failureRefused)
      lanes[lane].refused = store.lanes[lane].failure
      store.endFailure(lane)
      updateWrites(lane)
      send(.failureRefused(LaneID(lane), ticket: store.lanes[lane].failureTicket))
    } else {
      coverage.count(.progressRefused)
      lanes[lane].kept.formUnion(store.lanes[lane].effectsUnderWay)
      store.endProgress(lane)
      updateWrites(lane)
      send(.progressRefused(LaneID(lane), revision: store.lanes[lane].progressRevision))
    }
  }

  /// Tells the poller of a write that is durable.
  mutating func answerWrite(_ lane: Int) {
    let stored = store.lanes[lane]
    let answersFailure =
      stored.failureState == .committed && (stored.progressState != .committed || random.chance(500))
    answerWrite(lane, failure: answersFailure)
  }

  mutating func answerWrite(_ lane: Int, failure answersFailure: Bool) {
    lastLane = lane
    if answersFailure {
      store.endFailure(lane)
      updateWrites(lane)
      let failure = store.lanes[lane].failure
      if lanes[lane].blocksByKey {
        setFate(lanes[lane].leaving, Self.settledNow, lane)
        lanes[main(of: lane)].settledBatches += 1
      } else {
        // The records behind those that leave make the next batch.
        let whole = failure.condition == .recordAgeExceeded ? lanes[lane].readCount : lanes[lane].frozenCount
        let rest = failure.extent.isEmpty ? 0 : max(0, whole - failure.extent.count)
        lanes[lane].settle(upTo: Int(failure.extent.end.rawValue), rest: rest)
        if failure.extent.isEmpty {
          coverage.count(.finalGivenUp)
          lanes[lane].window = nil
        }
      }
      send(.failureStored(LaneID(lane), ticket: store.lanes[lane].failureTicket))
    } else {
      store.endProgress(lane)
      lanes[lane].storedBatches = lanes[lane].progressBatches
      updateWrites(lane)
      send(.progressStored(LaneID(lane), revision: store.lanes[lane].progressRevision))
    }
  }

  /// Answers about writes that are long settled.
  mutating func repeatStoreAnswer(_ lane: Int) {
    coverage.count(.staleStoreAnswer)
    lastLane = lane
    let isWriting = store.lanes[lane].progressState != .none
    let revision = isWriting ? store.lanes[lane].progressRevision &- 1 : store.lanes[lane].progressRevision
    if lanes[lane].track == 0, random.chance(500) {
      send(
        random.chance(500)
          ? .progressStored(LaneID(lane), revision: revision) : .progressRefused(LaneID(lane), revision: revision))
    } else {
      let ticket = store.lanes[lane].failureState == .none ? lanes[lane].lastTicket : lanes[lane].lastTicket &- 1
      send(
        random.chance(500)
          ? .failureStored(LaneID(lane), ticket: ticket) : .failureRefused(LaneID(lane), ticket: ticket))
    }
  }

  private mutating func updateWrites(_ lane: Int) {
    uncommitted &= ~bit(lane)
    unanswered &= ~bit(lane)
    let stored = store.lanes[lane]
    if stored.progressState == .uncommitted || stored.failureState == .uncommitted { uncommitted |= bit(lane) }
    if stored.progressState == .committed || stored.failureState == .committed { unanswered |= bit(lane) }
  }

  mutating func settleRedrive(_ lane: Int, _ entry: UInt64, _ succeeded: Bool) {
    coverage.count(succeeded ? .redriveSucceeded : .redriveFailed)
    if !succeeded, entry &+ 1 == lanes[lane].redriveEnd, entry != lanes[lane].redriveFirst {
      // The newest was turned down at once.
      lanes[lane].redriveEnd -= 1
      return
    }
    violate(.order, OrderChecker.checkRedrive(entry: entry, in: lanes[lane]), lane)
    if lanes[lane].redriveFirst < lanes[lane].redriveEnd { lanes[lane].redriveFirst += 1 }
  }
}
