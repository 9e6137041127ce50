import Sluice

/// What the state of the lanes of each shard adds to the metrics, computed when somebody asks for them.
enum LaneGauges {
  static func render(_ report: StatusReport) -> String {
    var text = ""
    append("sluice_lane_behind_records", "Records that are not settled.", report, to: &text) { "\($0.backlogRecords)" }
    append("sluice_lane_iterator_age_seconds", "Age of the oldest record that is not settled.", report, to: &text) {
      "\(Double($0.iteratorAgeMilliseconds) / 1_000)"
    }
    append(
      "sluice_lane_blocked", "Lanes of the shard that a failing batch or a damaged block holds up.", report, to: &text
    ) {
      "\($0.blockedLaneCount)"
    }
    append("sluice_lane_attempts", "Failed deliveries of the batch at the head.", report, to: &text) {
      "\($0.attemptsMade)"
    }
    append("sluice_lane_parked_keys", "Partition keys that wait while the others go on.", report, to: &text) {
      "\($0.parkedKeyCount)"
    }
    append("sluice_lane_parked_records", "Records of parked partition keys.", report, to: &text) {
      "\($0.parkedRecords)"
    }
    text += "# HELP sluice_failure_entries Failure entries in the store.\n# TYPE sluice_failure_entries gauge\n"
    for mapping in report.mappings {
      text += "sluice_failure_entries{mapping=\"\(escaped(mapping.name))\"} \(mapping.failureEntries)\n"
    }
    text += "# HELP sluice_failure_oldest_age_seconds Age of the oldest failure entry; zero without any.\n"
    text += "# TYPE sluice_failure_oldest_age_seconds gauge\n"
    for mapping in report.mappings {
      let age = mapping.oldestFailureAt.map { max(0, report.generatedAt - $0) } ?? 0
      text += "sluice_failure_oldest_age_seconds{mapping=\"\(escaped(mapping.name))\"} \(Double(age) / 1_000)\n"
    }
    text += "# HELP sluice_failure_deliveries Failure entries that are not at their mapping's destination.\n"
    text += "# TYPE sluice_failure_deliveries gauge\n"
    for mapping in report.mappings {
      let counts = [("pending", mapping.pendingDeliveries), ("undeliverable", mapping.undeliverableEntries)]
      for (state, count) in counts {
        text += "sluice_failure_deliveries{mapping=\"\(escaped(mapping.name))\",state=\"\(state)\"} \(count)\n"
      }
    }
    appendShadows(report, to: &text)
    return text
  }

  private static func appendShadows(_ report: StatusReport, to text: inout String) {
    let shadows = report.mappings.compactMap { mapping in mapping.shadow.map { (mapping.name, $0) } }
    guard !shadows.isEmpty else { return }
    text += "# HELP sluice_shadow_records_total Records that the function of a shadow mapping was done with, or not.\n"
    text += "# TYPE sluice_shadow_records_total counter\n"
    for (name, shadow) in shadows {
      for (outcome, count) in [("succeeded", shadow.succeededRecords), ("failed", shadow.failedRecords)] {
        text += "sluice_shadow_records_total{mapping=\"\(escaped(name))\",outcome=\"\(outcome)\"} \(count)\n"
      }
    }
  }

  private static func append(
    _ name: String, _ help: String, _ report: StatusReport, to text: inout String, value: (ShardProgress) -> String
  ) {
    text += "# HELP \(name) \(help)\n# TYPE \(name) gauge\n"
    for shard in report.mappings.flatMap(\.shards) {
      text += "\(name){mapping=\"\(escaped(shard.mapping))\",shard=\"\(shard.shard)\"} \(value(shard))\n"
    }
  }

  private static func escaped(_ label: String) -> String {
    label.map { $0 == "\\" || $0 == "\"" ? "\\\($0)" : $0 == "\n" ? "\\n" : String($0) }.joined()
  }
}
