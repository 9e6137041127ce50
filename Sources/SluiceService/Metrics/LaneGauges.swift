import Sluice

/// What the state of each lane adds to the metrics, computed when somebody asks for them.
enum LaneGauges {
  static func render(_ report: StatusReport) -> String {
    var text = ""
    append("sluice_lane_behind_records", "Records that are not settled.", report, to: &text) { "\($0.backlogRecords)" }
    append("sluice_lane_iterator_age_seconds", "Age of the oldest record that is not settled.", report, to: &text) {
      "\(Double($0.iteratorAgeMilliseconds) / 1_000)"
    }
    append("sluice_lane_blocked", "1 while a failing batch or a damaged block holds the shard up.", report, to: &text) {
      $0.state.isBlocked ? "1" : "0"
    }
    append("sluice_lane_attempts", "Failed deliveries of the batch at the head.", report, to: &text) {
      "\($0.attemptsMade)"
    }
    text += "# HELP sluice_failure_entries Failure entries in the store.\n# TYPE sluice_failure_entries gauge\n"
    for mapping in report.mappings {
      text += "sluice_failure_entries{mapping=\"\(escaped(mapping.name))\"} \(mapping.failureEntries)\n"
    }
    return text
  }

  private static func append(
    _ name: String, _ help: String, _ report: StatusReport, to text: inout String, value: (LaneReport) -> String
  ) {
    text += "# HELP \(name) \(help)\n# TYPE \(name) gauge\n"
    for lane in report.mappings.flatMap(\.lanes) {
      text += "\(name){mapping=\"\(escaped(lane.mapping))\",shard=\"\(lane.shard)\"} \(value(lane))\n"
    }
  }

  private static func escaped(_ label: String) -> String {
    label.map { $0 == "\\" || $0 == "\"" ? "\\\($0)" : $0 == "\n" ? "\\n" : String($0) }.joined()
  }
}
