import ShardCore
import StreamModel
import StreamStore

/// What the handlers of one lane wrote, from the end of a delivery until it is durable.
///
/// A delivery's writes are first offered. When the core has decided that the delivery counts they are kept, when it
/// orders progress everything that is kept goes with it, and when that is stored it is forgotten here. What is refused
/// goes with the next progress, and a delivery that does not count leaves nothing.
struct LaneWrites {
  private var offered: (delivery: DeliveryID, effects: LaneEffects)?
  private var kept = LaneEffects()
  private var keptBytes = 0
  private var underWay: LaneEffects?
  private var bytesUnderWay = 0

  /// The layers that a read looks through, the newest first.
  var layers: [TableWrites] {
    var layers: [TableWrites] = []
    if !kept.tableWrites.isEmpty { layers.append(kept.tableWrites) }
    if let underWay, !underWay.tableWrites.isEmpty { layers.append(underWay.tableWrites) }
    return layers
  }

  /// What goes with the progress that was ordered last.
  var ordered: LaneEffects { underWay ?? LaneEffects() }

  mutating func offer(_ effects: LaneEffects, of delivery: DeliveryID) { offered = (delivery, effects) }

  /// The delivery counts. How many bytes more wait to become durable.
  mutating func keep(_ delivery: DeliveryID) -> Int {
    guard let offer = offered, offer.delivery == delivery else { return 0 }
    offered = nil
    let bytes = offer.effects.byteCount
    if kept.isEmpty { kept = offer.effects } else { kept.add(offer.effects) }
    keptBytes += bytes
    return bytes
  }

  /// Progress is ordered.
  mutating func order() {
    precondition(underWay == nil, "one progress of a lane at a time")
    underWay = kept
    bytesUnderWay = keptBytes
    kept = LaneEffects()
    keptBytes = 0
  }

  /// The progress ordered last is durable, or was refused. How many bytes do not wait any more.
  mutating func end(isStored: Bool) -> Int {
    guard let former = underWay else { return 0 }
    underWay = nil
    defer { bytesUnderWay = 0 }
    if isStored { return bytesUnderWay }
    var all = former
    all.add(kept)
    kept = all
    keptBytes += bytesUnderWay
    return 0
  }
}

extension LaneEffects {
  /// Adds later ones: they win.
  fileprivate mutating func add(_ later: LaneEffects) {
    tableWrites.merge(later.tableWrites) { $1 }
    settledFailures += later.settledFailures
  }
}
