import Locks
import ShardCore
public import StreamModel
public import StreamStore

/// What the store keeps of a parked key besides its records: since when it is parked, how far it is settled, and what its
/// head has been through.
struct StoredParkedKey {
  var state: ParkedKeyState
  var history: AttemptHistory

  /// The time as a number of 8 bytes, then what is kept of a lane that stands where the key does.
  func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(state.since.milliseconds)
    let lane = StoredLane(
      progress: LaneProgress(next: state.settledBefore, failing: state.failing), history: history)
    return writer.bytes + lane.encoded()
  }

  init(state: ParkedKeyState, history: AttemptHistory) {
    self.state = state
    self.history = history
  }

  init(decoding bytes: [UInt8]) throws(LaneRecordError) {
    var reader = ByteReader(bytes)
    let since: Int64 = try reader.read()
    let lane = try StoredLane(decoding: Array(bytes.dropFirst(8)))
    state = ParkedKeyState(
      since: WallTime(milliseconds: since), settledBefore: lane.progress.next, failing: lane.progress.failing)
    history = lane.history
  }
}

/// The parked keys of one lane as they are stored.
struct StoredParkedKeys {
  var changes: [ParkedKeyChange] = []
  var histories: [PartitionKeyHash: ParkedHistories.Entry] = [:]

  init(_ records: [ParkedKeyRecord]) throws(LaneRecordError) {
    for record in records {
      let stored = try StoredParkedKey(decoding: record.payload)
      var ranges: [RecordRange] = []
      for range in record.ranges where range.end > stored.state.settledBefore {
        let first = max(range.first, stored.state.settledBefore)
        ranges.append(RecordRange(first: first, count: first.distance(to: range.end)))
      }
      changes.append(ParkedKeyChange(key: record.key, state: stored.state, ranges: ranges))
      if let failing = stored.state.failing {
        histories[record.key] = ParkedHistories.Entry(
          first: failing.extent.first, history: stored.history, since: stored.state.since)
      }
    }
  }
}

extension ParkedUpdate {
  init(_ change: ParkedKeyChange, history: AttemptHistory) {
    self.init(
      key: change.key,
      change: change.state.map { state in
        .changed(
          payload: StoredParkedKey(state: state, history: history).encoded(), settledBefore: state.settledBefore)
      } ?? .removed)
  }
}

/// The failed attempts of parked keys in words, for a lane and its tracks. As many as keys are parked, and those of the
/// lane's own batch.
final class ParkedHistories: Sendable {
  struct Entry: Sendable {
    /// The record that failed.
    var first: RecordIndex
    var history: AttemptHistory
    /// When its key was parked; `nil` if that is not known yet.
    var since: WallTime?
  }

  private let entries: Mutex<[PartitionKeyHash: Entry]>

  init(_ entries: [PartitionKeyHash: Entry]) {
    self.entries = Mutex(entries)
  }

  /// One more attempt of a record that failed alone, or was named. It has the request id of those before it. Of a record
  /// that is new here, `earlier` tells what it has been through in batches with others.
  func append(
    _ attempt: AttemptRecord, of key: PartitionKeyHash, first: RecordIndex, after earlier: () -> AttemptHistory
  ) {
    entries.withLock { entries in
      var attempt = attempt
      var entry: Entry
      if let known = entries[key], known.first == first {
        entry = known
        if let id = entry.history.last?.requestID { attempt.requestID = id }
      } else {
        entry = Entry(first: first, history: earlier())
      }
      entry.history.append(attempt)
      entries[key] = entry
    }
  }

  /// Empty if nothing is known of a record that failed there.
  func history(of key: PartitionKeyHash, first: RecordIndex?) -> AttemptHistory {
    entries.withLock { entries in
      guard let entry = entries[key], entry.first == first else { return AttemptHistory() }
      return entry.history
    }
  }

  /// What the changes need, and no more of keys that do not fail any longer.
  func take(_ changes: [ParkedKeyChange]) -> [PartitionKeyHash: AttemptHistory] {
    entries.withLock { entries in
      var histories: [PartitionKeyHash: AttemptHistory] = [:]
      for change in changes {
        guard let first = change.state?.failing?.extent.first else {
          entries[change.key] = nil
          continue
        }
        guard let entry = entries[change.key], entry.first == first else { continue }
        entries[change.key]?.since = change.state?.since
        histories[change.key] = entry.history
      }
      return histories
    }
  }

  /// Since when the key waits whose first record this is.
  func parkedSince(_ key: PartitionKeyHash, first: RecordIndex) -> WallTime? {
    entries.withLock { $0[key].flatMap { $0.first == first ? $0.since : nil } }
  }

  /// The record left as a failure entry.
  func forget(first: RecordIndex) {
    entries.withLock { entries in
      if let key = entries.first(where: { $0.value.first == first })?.key { entries[key] = nil }
    }
  }
}

extension ParkedKeyLook {
  /// Keys as they are stored, where nothing works on them. Those that wait longest first.
  public static func stored(_ records: [ParkedKeyRecord]) throws(LaneRecordError) -> [ParkedKeyLook] {
    let stored = try StoredParkedKeys(records)
    return stored.changes.compactMap { change in
      guard let state = change.state, let first = change.ranges.first?.first, let last = change.ranges.last?.last else {
        return nil
      }
      return ParkedKeyLook(
        snapshot: ParkedKeySnapshot(
          key: change.key, since: state.since, first: first, last: last,
          recordCount: change.ranges.reduce(0) { $0 + $1.count }, failing: state.failing, due: nil, isDelivering: false,
          stoppedAt: nil),
        history: stored.histories[change.key]?.history ?? AttemptHistory())
    }
    .sorted { ($0.snapshot.since, $0.snapshot.first) < ($1.snapshot.since, $1.snapshot.first) }
  }
}

extension ParkedKeyLook {
  /// The records of stored keys that are not settled, by key, in their order.
  public static func storedRanges(
    _ records: [ParkedKeyRecord]
  ) throws(LaneRecordError) -> [(key: PartitionKeyHash, ranges: [RecordRange])] {
    try StoredParkedKeys(records).changes.map { ($0.key, $0.ranges) }
  }
}
