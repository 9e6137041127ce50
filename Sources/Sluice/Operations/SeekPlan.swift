import ShardCore
import StreamModel
import StreamRuntime
import StreamStore

/// One shard of a seek: where its lanes are, and where they go.
struct ShardPlace {
  var shard: ShardInfo
  var seek: ShardSeek
  /// `nil`: its lanes stay.
  var target: RecordIndex?
  var moves: [ShardSeek.Move]
  /// The target is not there any more.
  var isClamped = false

  init(_ shard: ShardInfo, _ seek: ShardSeek, _ finder: StoreOperator, _ order: SeekOrder, _ mapping: MappingInfo)
    throws
  {
    self.shard = shard
    self.seek = seek
    let store = finder.store
    switch order.target {
    case .trimHorizon: target = seek.firstAvailable
    case .latest: target = seek.end
    case .time(let milliseconds):
      let moment = WallTime(milliseconds: milliseconds)
      target = try store.index(for: .atTimestamp(moment), in: shard.address)
      isClamped = moment <= shard.trimmedThrough && seek.firstAvailable > .zero
    case .sequenceNumber(let text):
      guard let number = SequenceNumber(text) else { preconditionFailure("the shard was found by its number") }
      target = try store.index(at: number, in: shard.address)
      isClamped = number.index < seek.firstAvailable
    case .beforeFirstFailure:
      let failures = try store.failures(limit: .max).filter {
        $0.mapping == mapping.number && $0.address == shard.address
      }
      if let first = failures.map(\.firstIndex).min(), seek.lanes.contains(where: { $0.progress.next > first }) {
        target = seek.lanes.map(\.progress.next).reduce(first, min)
        isClamped = first < seek.firstAvailable
      }
    }
    moves = target.map { seek.moves(to: $0) } ?? []
  }

  /// Children of the shard began because it was done, and it is not any more.
  var reopensFinished: Bool {
    moves.contains { seek.lanes[$0.slot].progress.isFinished && !$0.progress.isFinished }
  }
}

struct SeekPlan {
  var places: [ShardPlace]
  var isEmpty: Bool { places.allSatisfy(\.moves.isEmpty) }

  init(_ order: SeekOrder, _ places: [ShardPlace]) {
    self.places = places.filter { $0.target != nil }
  }

  /// Everything that is in the way, at once.
  func refuseObstacles(_ order: SeekOrder) throws {
    guard !order.discards else { return }
    var problems: [String] = []
    for place in places {
      for move in place.moves {
        let lane = place.seek.lanes.count > 1 ? " --lane \(move.slot)" : ""
        let subject = "\(order.mapping) \(place.shard.address.shard)" + (lane.isEmpty ? "" : " lane \(move.slot)")
        problems += move.obstacles.map {
          "\(subject): \($0.sentence(in: place.shard)). "
            + $0.advice(order.mapping, "--shard \(place.shard.address.shard.rawValue)\(lane)")
        }
      }
    }
    guard !problems.isEmpty else { return }
    problems.append("Nothing was moved. With --discard it is dropped for good instead.")
    throw OperatorRefusal(.badInput, problems.joined(separator: "\n"))
  }
}

extension ShardSeek.Obstacle {
  /// What is in the way.
  func sentence(in shard: ShardInfo) -> String {
    switch self {
    case .parkedKeys(let keys, let records):
      "\(records) record\(records == 1 ? "" : "s") of \(keys) parked key\(keys == 1 ? "" : "s") \(records == 1 ? "is" : "are") "
        + "not settled and would not come again"
    case .failingBatch(let records, let first):
      "the batch under retry, \(records) record\(records == 1 ? "" : "s") from \(shard.sequenceNumber(of: first)) on, would "
        + "be passed"
    case .splitBatch(let records, let first):
      "what is left of a batch that was split, \(records) record\(records == 1 ? "" : "s") from "
        + "\(shard.sequenceNumber(of: first)) on, would be passed"
    case .openWindow(let bounds):
      "the tumbling window from \(bounds.start.milliseconds) ms to \(bounds.end.milliseconds) ms has begun, and its state "
        + "would be lost"
    }
  }

  /// The same when it happens.
  func loss(in shard: ShardInfo) -> String {
    switch self {
    case .parkedKeys(let keys, let records):
      "\(records) record\(records == 1 ? "" : "s") of \(keys) parked key\(keys == 1 ? "" : "s")"
    case .failingBatch(let records, let first):
      "the batch under retry, \(records) record\(records == 1 ? "" : "s") from \(shard.sequenceNumber(of: first)) on"
    case .splitBatch(let records, let first):
      "what is left of a split batch, \(records) record\(records == 1 ? "" : "s") from \(shard.sequenceNumber(of: first)) on"
    case .openWindow(let bounds):
      "the state of the tumbling window from \(bounds.start.milliseconds) ms to \(bounds.end.milliseconds) ms"
    }
  }

  func advice(_ mapping: String, _ place: String) -> String {
    switch self {
    case .parkedKeys:
      "Let them succeed, or keep them in the failures: sluice skip \(mapping) --key KEY --all --yes (sluice explain "
        + "\(mapping) names the keys)."
    case .failingBatch, .splitBatch: "Keep it in the failures first: sluice skip \(mapping) \(place) --yes."
    case .openWindow: "Wait until it is over, or seek to a time before its start."
    }
  }
}

extension LaneMove {
  func sentences(of mapping: String, _ move: ShardSeek.Move) -> [String] {
    let subject = "\(mapping) \(shard)" + (lane.map { " lane \($0)" } ?? "")
    let own = lane == nil ? "" : "its own of "
    var sentences: [String] = []
    func words(_ span: RecordSpan) -> String {
      "\(own)\(span.records) record\(span.records == 1 ? "" : "s"), \(span.firstSequenceNumber) through "
        + span.lastSequenceNumber
    }
    if let deliveredAgain {
      sentences.append("\(subject) goes back to \(to) and delivers again \(words(deliveredAgain))")
    } else if let skipped {
      sentences.append("\(subject) goes on at \(to) and skips \(words(skipped)); they are no failure entries")
    } else {
      sentences.append("\(subject) goes on at \(to)")
    }
    if move.forgottenAttempts > 0, skipped == nil {
      let count = move.forgottenAttempts
      sentences.append(
        "\(subject) forgets \(count) attempt\(count == 1 ? "" : "s") of its failing batch, which comes again")
    }
    if move.unparkedKeys > 0 {
      let count = move.unparkedKeys
      sentences.append("\(subject) parks \(count) key\(count == 1 ? "" : "s") no longer")
    }
    for loss in discarded { sentences.append("\(subject) drops for good \(loss)") }
    return sentences
  }
}

extension SeekTarget {
  /// Why no shard is concerned.
  var nothing: String {
    if case .beforeFirstFailure = self {
      "no failure entry is of a record that a lane has passed."
    } else {
      "no shard is meant."
    }
  }
}
