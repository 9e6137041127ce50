import ShardCore
import StreamModel
import StreamRuntime

/// The words of a lane report.
enum LaneSummary {
  static func sentence(for report: LaneReport, look: LaneLook?) -> String {
    let isShared = (look?.place.sharing.factor ?? 1) > 1
    let behind = isShared ? "Nothing of its partition keys" : "Nothing behind it"
    switch report.state {
    case .waitingForParents:
      return "Starts when \(report.waitingFor.joined(separator: " and ")) is drained."
    case .idle:
      return "Everything is delivered. The next record is delivered as soon as it is stored."
    case .filling:
      return "Waits for a full batch or the end of its window."
    case .delivering:
      return "The handler is at work, or the batch is next in line."
    case .retrying:
      if case .holdingForKeys? = look?.snapshot.state {
        return
          "As many records of failing keys are parked as may be (parkedRecordLimit), and the next record is one more. "
          + "Nothing moves until one of them is settled or skipped."
      }
      if look?.snapshot.delivery != nil {
        return
          "The batch at the head failed and is being tried again. \(behind) moves until it succeeds or expires."
      }
      return "The batch at the head fails. \(behind) moves until it succeeds or expires."
    case .storingFailure:
      return "The batch gave up; its failure entry is being stored. If the disk is full, that waits for space."
    case .paused:
      return "An operator paused it. Nothing is delivered until it is resumed."
    case .stopped:
      if case .stopped(block: let block)? = look?.snapshot.state {
        return
          "The block that begins at record \(block.rawValue) is damaged. Nothing behind it moves until it is skipped."
      }
      return "The store does not take or give what the lane needs; it is tried again every second."
    case .finished:
      return "The shard was closed and all of it is delivered."
    case .notRunning where report.mappingState != .enabled:
      return "Its mapping is \(report.mappingState.rawValue). Its checkpoint is kept, and nothing is delivered."
    case .notRunning where report.backlogRecords == 0 && report.window != nil:
      return "All records are delivered; the end of its window is not. No worker runs this mapping."
    case .notRunning:
      return report.backlogRecords == 0 ? "Everything is delivered." : "No worker runs this mapping."
    }
  }

  static func commands(for report: LaneReport) -> [SuggestedCommand] {
    let lane =
      "\(report.mapping) --shard \(report.shard.shardDigits)" + (report.lane.map { " --lane \($0)" } ?? "")
    switch report.state {
    case .retrying, .storingFailure:
      return [
        SuggestedCommand(command: "sluice retry \(lane) --yes", effect: "deliver it now, for example after a fix"),
        SuggestedCommand(command: "sluice skip \(lane)", effect: "preview giving it up; it stays in the failures"),
        SuggestedCommand(command: "sluice pause \(lane) --yes", effect: "stop trying for now"),
      ]
    case .paused:
      return [SuggestedCommand(command: "sluice resume \(lane) --yes", effect: "go on")]
    case .stopped:
      let skip = report.damage.map { damage in
        SuggestedCommand(
          command: "sluice skip \(lane)",
          effect: "preview going on behind the block: \(damage.loss)")
      }
      return (skip.map { [$0] } ?? []) + [
        SuggestedCommand(command: "sluice check-store DATA", effect: "find every damaged block"),
        SuggestedCommand(command: "sluice resume \(lane) --yes", effect: "try again"),
      ]
    case .notRunning where report.mappingState == .disabled:
      return [
        SuggestedCommand(
          command: "sluice apply --config FILE --yes", effect: "go on, with Enabled: true in the configuration")
      ]
    case .notRunning where report.backlogRecords > 0 || report.window != nil:
      return [SuggestedCommand(command: "sluice run --config FILE", effect: "start the worker")]
    case .waitingForParents:
      return report.waitingFor.map {
        SuggestedCommand(
          command: "sluice explain \(report.mapping) --shard \($0.shardDigits)", effect: "why the parent is not done")
      }
    case .idle, .filling, .delivering, .finished, .notRunning:
      return []
    }
  }

  /// The same of the first bytes of data, which may end within a character.
  static func preview(ofBeginning data: [UInt8], isWhole: Bool) -> String? {
    if isWhole { return preview(of: data) }
    for cut in 0..<min(4, data.count) {
      if let text = preview(of: Array(data.dropLast(cut))) { return text + "…" }
    }
    return nil
  }

  /// The beginning of readable data, on one line; `nil` for binary.
  static func preview(of data: [UInt8]) -> String? {
    guard String(validating: data, as: UTF8.self) != nil else { return nil }
    let text = String(decoding: data, as: UTF8.self)
    let line = text.map { $0.isNewline ? " " : String($0) }.joined()
    guard line.utf8.count > BatchReport.previewByteLimit else { return line }
    return String(line.prefix(BatchReport.previewByteLimit)) + "…"
  }
}

extension String {
  /// `shardId-000000000003` as people type it: `3`.
  var shardDigits: String {
    guard let dash = lastIndex(of: "-") else { return self }
    let digits = self[index(after: dash)...].drop { $0 == "0" }
    return digits.isEmpty ? "0" : String(digits)
  }
}
