import StreamStore

/// How full the store is, beside its limits, and what it has refused.
enum StoreGauges {
  static func render(_ load: StoreLoad) -> String {
    var text = ""
    append("sluice_store_used_bytes", "Bytes of the data file that hold pages.", load.usedBytes, to: &text)
    append(
      "sluice_store_limit_bytes", "The greatest that the data file can become: mapSize, or what the disk has room for.",
      load.greatestBytes, to: &text)
    append("sluice_store_waiting_bytes", "Bytes of records that wait to be written.", load.waitingBytes, to: &text)
    append("sluice_store_waiting", "Puts and commands that wait to be written.", load.waitingCommands, to: &text)
    text += "# HELP sluice_store_refusals_total Puts and commands that were refused for want of room.\n"
    text += "# TYPE sluice_store_refusals_total counter\n"
    for reason in StoreLoad.Reason.allCases {
      text += "sluice_store_refusals_total{reason=\"\(reason.rawValue)\"} \(load.refusals[reason] ?? 0)\n"
    }
    return text
  }

  private static func append(_ name: String, _ help: String, _ value: Int, to text: inout String) {
    text += "# HELP \(name) \(help)\n# TYPE \(name) gauge\n\(name) \(value)\n"
  }
}
