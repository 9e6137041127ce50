import Foundation

/// What `bench start` found: milliseconds from the start of a process to its first delivery, and where they went.
struct StartReport: Encodable {
  let name: String
  let storeBytes: Int
  let durability: String
  /// From just before the process is started to the call of the handler.
  private(set) var milliseconds = Spread()
  /// The parts: loading the program; opening the store; opening the lanes, reading and delivering.
  private(set) var loadMilliseconds = Spread()
  private(set) var openMilliseconds = Spread()
  private(set) var deliverMilliseconds = Spread()
  private(set) var residentBytes = 0

  init(name: String, storeBytes: Int, durability: BenchDurability) {
    self.name = name
    self.storeBytes = storeBytes
    self.durability = durability.rawValue
  }

  mutating func add(_ moments: StartMoments) {
    let started = moments.started ?? moments.begun
    milliseconds.add(Double(moments.delivered - started) / 1e6)
    loadMilliseconds.add(Double(moments.begun - started) / 1e6)
    openMilliseconds.add(Double(moments.opened - moments.begun) / 1e6)
    deliverMilliseconds.add(Double(moments.delivered - moments.opened) / 1e6)
    residentBytes = max(residentBytes, moments.residentBytes)
  }

  func print(isJSON: Bool) throws {
    if isJSON { return try printJSON(self) }
    Swift.print(
      String(
        format: "%@:  p50 %.1f ms, greatest %.1f ms of %d  (load %.1f, open %.1f, deliver %.1f)  "
          + "%.1f GiB store  %d MiB resident  durability %@",
        name, milliseconds.median, milliseconds.greatest, milliseconds.count, loadMilliseconds.median,
        openMilliseconds.median, deliverMilliseconds.median, Double(storeBytes) / Double(1 << 30),
        residentBytes >> 20, durability))
  }
}
