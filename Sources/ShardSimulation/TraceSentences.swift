import ShardCore
import StreamModel

/// Events and orders in words.
extension PollerEvent {
  var sentence: String {
    switch self {
    case .laneOpened(let opening):
      let parents = opening.parents.map { "\($0.rawValue)" }.joined(separator: " and ")
      return "a lane of mapping \(opening.mapping.rawValue) is opened at record \(opening.progress.next.rawValue)"
        + (parents.isEmpty ? "" : ", child of lane \(parents)") + opening.progress.remarks
    case .shardChanged(let lane): return "\(lane.name): its shard changed"
    case .readAnswered(let lane, let answer): return "\(lane.name): the read gave \(answer.words)"
    case .handlerAnswered(let lane, let delivery, let answer):
      return "\(lane.name): delivery \(delivery.rawValue) \(answer.words)"
    case .progressStored(let lane, let revision): return "\(lane.name): progress \(revision) is stored"
    case .progressRefused(let lane, let revision): return "\(lane.name): progress \(revision) was refused"
    case .failureStored(let lane, let ticket): return "\(lane.name): failure entry \(ticket) is stored"
    case .failureRefused(let lane, let ticket): return "\(lane.name): failure entry \(ticket) was refused"
    case .timerFired: return "the timer fires"
    case .pauseRequested(let lane): return "\(lane.name): an operator pauses it"
    case .resumeRequested(let lane): return "\(lane.name): an operator resumes it"
    case .retryRequested(let lane): return "\(lane.name): an operator wants its retry now"
    case .skipRequested(let lane, let index): return "\(lane.name): an operator skips through record \(index.rawValue)"
    case .keySkipRequested(let lane, let key, let index):
      return "\(lane.name): an operator skips key \(key.rawValue) through record \(index.rawValue)"
    case .damageSkipRequested(let lane, let block, let end):
      return "\(lane.name): an operator skips the damaged block \(block.rawValue)..<\(end.rawValue)"
    case .redriveRequested(let lane, let redrive): return "\(lane.name): an operator redrives entry \(redrive.entry)"
    case .policyChanged(let mapping, _): return "mapping \(mapping.rawValue) has other settings"
    case .mappingCloseRequested(let mapping, let isStopping):
      return "mapping \(mapping.rawValue) shall \(isStopping ? "stop" : "drain")"
    case .mappingOpenRequested(let mapping): return "mapping \(mapping.rawValue) is opened again"
    case .drainRequested: return "the process shall drain"
    case .stopRequested: return "the process shall stop"
    }
  }
}

extension PollerEffect {
  var sentence: String {
    switch self {
    case .read(let lane, let request):
      let purpose = request.purpose == .deliver ? "to deliver" : "to measure"
      return "\(lane.name): read \(purpose), up to \(request.countLimit) from record \(request.from.rawValue)"
        + (request.through.map { " through \($0.rawValue)" } ?? "")
        + (request.ranges.isEmpty ? "" : ", parked records \(request.ranges.indexes)")
    case .deliver(let lane, let delivery):
      let source =
        switch delivery.source {
        case .failureEntry(let entry): "entry \(entry)"
        case .windowEnd: "the end"
        case .shard: delivery.extent.words
        }
      return "\(lane.name): delivery \(delivery.id.rawValue) of \(source), attempt \(delivery.attempt)"
        + (delivery.window.map { ", \($0.words)" } ?? "")
    case .cancelHandler(let lane, let delivery): return "\(lane.name): cancel delivery \(delivery.rawValue)"
    case .keepWrites(let lane, let delivery): return "\(lane.name): keep the writes of delivery \(delivery.rawValue)"
    case .storeProgress(let lane, let progress, let revision):
      return "\(lane.name): store progress \(revision), next is record \(progress.next.rawValue)" + progress.remarks
    case .storeFailure(let lane, let order, let ticket):
      return "\(lane.name): store failure entry \(ticket), \(order.extent.words), \(order.condition) after "
        + "\(order.attempts) attempts"
    case .settleRedrive(let lane, let entry, let succeeded):
      return "\(lane.name): entry \(entry) \(succeeded ? "is off the list" : "stays on the list")"
    case .armTimer(let moment): return "set the timer to \(moment.nanoseconds / 1_000_000) ms"
    case .tooLarge(let lane, let extent, key: _, isParked: _):
      return "\(lane.name): \(extent.words) is too large to be delivered"
    case .recursiveLoop(let lane, let extent, let lineage, key: _):
      return "\(lane.name): \(extent.words) comes from \(lineage.hops) invocations"
    case .countLost(let lane, let count): return "\(lane.name): \(count) records are lost"
    case .mappingClosed(let mapping): return "mapping \(mapping.rawValue) is closed"
    case .drained: return "drained"
    }
  }
}

extension LaneID {
  fileprivate var name: String { "lane \(rawValue)" }
}

extension BatchExtent {
  fileprivate var words: String {
    count == 1 ? "record \(first.rawValue)" : "records \(first.rawValue)...\(last.rawValue)"
  }
}

extension OpenWindow {
  fileprivate var words: String {
    "window \(bounds.start.milliseconds)..<\(bounds.end.milliseconds) with the state \(state.bytes)"
      + (isEnding ? ", ending" : "") + (isTerminatedEarly ? " early" : "")
  }
}

extension LaneProgress {
  /// What is out of the ordinary in it.
  fileprivate var remarks: String {
    var remarks = ""
    if let failing {
      remarks += ", \(failing.extent.words) failed \(failing.attempts) times"
      switch failing.givenUp {
      case .batch: remarks += " and is given up by its rule"
      case .firstRecord: remarks += " and its first record is given up by its rule"
      case nil: break
      }
    }
    for change in parked {
      remarks += ", key \(change.key.rawValue) "
      remarks +=
        change.state.map { "parked, settled before \($0.settledBefore.rawValue)" } ?? "is parked no more"
    }
    if !parkedRecords.isEmpty {
      let words = parkedRecords.map { "\($0.index.rawValue) of key \($0.key.rawValue)" }
      remarks += ", parks \(words.joined(separator: ", "))"
    }
    if isPaused { remarks += ", paused" }
    if let window { remarks += ", \(window.words)" }
    if isFinished { remarks += ", finished" }
    if lostToRetention > 0 { remarks += ", \(lostToRetention) lost to retention" }
    if lostToDamage > 0 { remarks += ", \(lostToDamage) lost to damage" }
    return remarks
  }
}

extension ReadAnswer {
  fileprivate var words: String {
    switch self {
    case .records(let result):
      result.extent.words + (result.isFull ? ", full" : "")
        + (result.expiredCount > 0 ? ", \(result.expiredCount) too old" : "")
    case .nothingSelected(let begin, let end): "nothing for the lane in \(begin.rawValue)..<\(end.rawValue)"
    case .onlyParked(let begin, let end, let parked):
      "only \(parked.count) records of parked keys in \(begin.rawValue)..<\(end.rawValue)"
    case .parkingFull(let begin): "a record of a parked key from \(begin.rawValue) on, no more may be parked"
    case .caughtUp: "nothing, the shard is open"
    case .shardEnd(let end): "the end of the shard, \(end.rawValue)"
    case .corrupted(let block): "a damaged block at record \(block.rawValue)"
    case .unavailable: "nothing, the store is unavailable"
    }
  }
}

extension DeliveryAnswer {
  fileprivate var words: String {
    switch self {
    case .succeeded: "succeeded"
    case .failed(at: let index, position: _): "failed at record \(index.rawValue)"
    case .failedAmong(at: let index, position: _, remaining: let remaining):
      "\(remaining) failed from record \(index.rawValue) on, the others are done"
    case .recordFailed(let failed): "failed at record \(failed.index.rawValue), key \(failed.key.rawValue)"
    case .returned(let state): "succeeded with the state \(state.bytes)"
    case .returnedPart(let state, failedAt: let index, position: _):
      "failed at record \(index.rawValue) with the state \(state.bytes)"
    case .faulted(let kind, let rule): "failed: \(kind)" + (rule.map { ", retry rule \($0.rawValue)" } ?? "")
    }
  }
}
