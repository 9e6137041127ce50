import Recordings
import StreamModel
import StreamStore

/// Which records of a stream are recorded: those that arrived from one moment until before another.
struct RecordingBounds {
  var from: WallTime?
  var to: WallTime?
}

/// Reads the shards of a stream side by side and says what a recording holds of them: their records in the order of
/// arrival.
struct StreamRecorder: ~Copyable {
  private var outline: RecordingOutline
  private let store: StreamStore
  /// By number.
  private var shards: [Shard] = []
  private(set) var report = RecordingReport()
  /// Records that will have been looked at in the end.
  private var wanted: UInt64 = 0
  /// Shards from here on wait to be opened.
  private var openedCount = 0
  /// Tells what became of the records, if that was asked for.
  private var outcomes: OutcomeRecorder?
  private var isEnded = false

  private struct Shard {
    let info: ShardInfo
    let parents: [ShardNumber]
    let first: RecordIndex
    var next: RecordIndex
    let end: RecordIndex
    /// What was read last, and the place in it of `next`.
    var run: RecordRun?
    var position = 0
    /// Of the record at `position`.
    var arrival = WallTime.zero
    var isClosed = false
    /// From here on the outcome of a record is that of its key.
    var keyMatters: RecordIndex?
    var seen = SeenOutcomes()
  }

  /// Records that one step takes, about.
  private static let stepByteCount = 1 << 20

  /// `mapping`: the one whose outcomes are recorded too, if any.
  init(
    _ store: StreamStore, _ catalog: Catalog, _ info: StreamInfo, outcomesOf mapping: MappingInfo?,
    bounds: RecordingBounds, redacted: [String], keys: RecordedKeys = .plain, keySecret: [UInt8]? = nil
  ) throws {
    var header = RecordingHeader(
      stream: info.name, kind: info.kind, streamCreatedAt: info.createdAt, madeAt: WallTime.current())
    header.from = bounds.from
    header.to = bounds.to
    header.redacted = redacted
    header.keys = keys
    header.keySecret = keySecret
    var shards = try Self.shards(of: catalog.shards(of: info.number), bounds, store)
    var outcomes: OutcomeRecorder?
    if let mapping {
      header.outcomes = RecordingHeader.Outcomes(of: mapping.name, at: WallTime.current())
      let recorder = try OutcomeRecorder(mapping, on: shards.map(\.info), store)
      for place in shards.indices {
        shards[place].keyMatters = recorder.keyMatters(in: shards[place].info.address.shard)
      }
      outcomes = recorder
    }
    self.init(store, header, shards, outcomes)
  }

  private init(_ store: StreamStore, _ header: RecordingHeader, _ shards: [Shard], _ outcomes: OutcomeRecorder?) {
    self.store = store
    self.shards = shards
    self.outcomes = outcomes
    outline = RecordingOutline(header)
    wanted = shards.reduce(0) { $0 + $1.next.distance(to: $1.end) }
  }

  /// Those that have records within the bounds, and those that were there at the time.
  private static func shards(
    of all: [ShardInfo], _ bounds: RecordingBounds, _ store: StreamStore
  ) throws -> [Shard] {
    var shards: [Shard] = []
    for shard in all {
      let address = shard.address
      let next = try store.index(for: bounds.from.map { .atTimestamp($0) } ?? .trimHorizon, in: address)
      let end = try store.index(for: bounds.to.map { .atTimestamp($0) } ?? .latest, in: address)
      let isBefore = bounds.from.map { from in shard.closing.map { $0.closedAt < from } ?? false } ?? false
      let isBehind = bounds.to.map { shard.createdAt >= $0 } ?? false
      guard next < end || !isBefore && !isBehind else { continue }
      // Parents that lie before the recording are none in it.
      let parents = shard.parents.filter { parent in shards.contains { $0.info.address.shard == parent } }
      shards.append(Shard(info: shard, parents: parents, first: min(next, end), next: min(next, end), end: end))
    }
    return shards
  }

  var header: RecordingHeader { outline.header }

  /// What the recording holds, of whose lines this is the tally.
  func report(_ tally: RecordingTally) -> RecordingReport {
    var report = report
    report.records = tally.recordCount
    report.dataBytes = tally.dataByteCount
    report.redactedWhole = tally.redactedWhole
    report.textBytes = tally.textByteCount
    return report
  }

  /// `recorded`: records that were written so far.
  func progress(_ recorded: UInt64, since begun: ContinuousClock.Instant) -> String {
    let done = recorded + report.missing
    let seconds = (ContinuousClock.now - begun).inSeconds
    let rate = Double(done) / max(seconds, 0.001)
    let left = Text.duration(Int64(Double(wanted - min(done, wanted)) / max(rate, 1) * 1_000))
    return "\(Text.count(done)) of \(Text.records(wanted)), \(Text.count(Int(rate))) a second, \(left) left"
  }

  /// The next part of the recording; `nil` behind the last.
  mutating func step() throws -> RecordingDraft? {
    guard !isEnded else { return nil }
    while outline.byteCount < Self.stepByteCount {
      guard let first = try firstShard() else {
        try finish()
        isEnded = true
        break
      }
      try tell(before: shards[first].arrival, upTo: first)
      writeRecords(of: first)
    }
    return outline.take()
  }

  /// The shard whose next record arrived first; of several the one with the lowest number.
  private mutating func firstShard() throws -> Int? {
    var first: Int?
    for place in shards.indices {
      if shards[place].run == nil { try read(place) }
      guard shards[place].run != nil else { continue }
      if let known = first, shards[known].arrival <= shards[place].arrival { continue }
      first = place
    }
    return first
  }

  /// Reads what follows, past what cannot be had.
  private mutating func read(_ place: Int) throws {
    while shards[place].next < shards[place].end, shards[place].run == nil {
      let (address, next) = (shards[place].info.address, shards[place].next)
      do {
        let read = try store.read(address, from: next, countLimit: 1, payloadByteLimit: 1, recordOverheadBytes: 0)
        guard case .records(let found) = read else {
          throw Problem(
            Exit.failed,
            "\(address.shard) ends before record \(shards[place].end.rawValue): stream and store do not agree")
        }
        if found.run.firstIndex > next { try miss(min(found.run.firstIndex, shards[place].end), place) }
        guard shards[place].next < shards[place].end else { return }
        shards[place].run = found.run
        shards[place].position = 0
        shards[place].arrival = found.run.arrival(at: 0)
      } catch StoreError.corruptedBlock {
        let block = try store.damagedBlock(holding: next, in: address)
        try miss(min(block?.endIndex ?? shards[place].end, shards[place].end), place)
      }
    }
  }

  private mutating func miss(_ end: RecordIndex, _ place: Int) throws {
    let next = shards[place].next
    guard end > next else {
      throw Problem(Exit.failed, "record \(next.rawValue) of \(shards[place].info.address.shard) cannot be read")
    }
    try tell(before: WallTime(milliseconds: .min), upTo: place)
    outline.missing(RecordRange(first: next, count: next.distance(to: end)), of: shards[place].info.address.shard)
    report.missing += next.distance(to: end)
    shards[place].next = end
  }

  /// The records of a shard up to the first one before which another shard has its turn.
  private mutating func writeRecords(of place: Int) {
    guard let run = shards[place].run else { return }
    let number = shards[place].info.address.shard
    // Those before this one in the list go first at the same moment, those behind it after.
    var limit = WallTime.distantFuture
    for other in shards.indices where other != place && shards[other].run != nil {
      let arrival = shards[other].arrival
      limit = min(limit, other < place ? arrival : arrival.adding(milliseconds: 1))
    }
    if openedCount < shards.count { limit = min(limit, shards[openedCount].info.createdAt.adding(milliseconds: 1)) }
    let end = Int(min(UInt64(run.count), run.firstIndex.distance(to: shards[place].end)))
    var position = shards[place].position
    var arrival = shards[place].arrival
    let first = position
    var byteCount = outline.byteCount
    repeat {
      if let keyMatters = shards[place].keyMatters { see(position, of: run, place, from: keyMatters) }
      byteCount += RecordingOutline.byteCount(at: position, of: run)
      position += 1
      guard position < end else { break }
      arrival = run.arrival(at: position)
    } while arrival < limit && byteCount < Self.stepByteCount
    outline.records(at: first..<position, of: run, shard: number)
    shards[place].next = position < run.count ? run.index(at: position) : run.endIndex
    shards[place].position = position
    shards[place].arrival = arrival
    if position >= end { shards[place].run = nil }
  }

  /// What became of a record, if its key decides that.
  private mutating func see(_ position: Int, of run: RecordRun, _ place: Int, from keyMatters: RecordIndex) {
    let index = run.index(at: position)
    guard index >= keyMatters, let outcomes else { return }
    let number = shards[place].info.address.shard
    shards[place].seen.add(
      index, outcomes.place(of: index, keyHash: run.partitionKeyHash(at: position), in: number))
  }

  /// Opens the shards that were made before this moment, and those up to `place`; closes their parents.
  private mutating func tell(before moment: WallTime, upTo place: Int) throws {
    while openedCount < shards.count, openedCount <= place || shards[openedCount].info.createdAt < moment {
      let shard = shards[openedCount]
      for parent in shard.parents {
        if let parent = shards.firstIndex(where: { $0.info.address.shard == parent }) { close(parent) }
      }
      outline.shardOpened(
        RecordedShard(
          shard: shard.info.address.shard, createdAt: shard.info.createdAt,
          createdAtSeconds: shard.info.createdAtSeconds, hashKeys: shard.info.hashKeys, parents: shard.parents,
          first: shard.next))
      openedCount += 1
    }
  }

  /// If it is over, and all of it is recorded.
  private mutating func close(_ place: Int) {
    let shard = shards[place]
    guard let closing = shard.info.closing, !shard.isClosed, place < openedCount, shard.next >= closing.end else {
      return
    }
    shards[place].isClosed = true
    outline.shardClosed(RecordedClosing(shard: shard.info.address.shard, closedAt: closing.closedAt, end: closing.end))
  }

  private mutating func finish() throws {
    try tell(before: .distantFuture, upTo: shards.count - 1)
    for place in shards.indices { close(place) }
    if var outcomes {
      try outcomes.write(shards.map { ($0.info, $0.first..<$0.end, $0.seen) }, to: &outline)
      report.outcomes = outcomes.counts
    }
    outline.end()
    report.shards = shards.count
  }
}
