import Foundation
import ShardCore
import ShardPlan
import Sluice
import SluiceService
import StreamModel
import StreamRuntime
import StreamStore

/// A plan that begins where a lane of a store stands now: with its checkpoint, the attempts of its failing batch, the
/// pieces behind it, its window, and the records that wait.
///
/// The store is only looked at. Beside a worker it says what was stored last, which is every failure and at most the last
/// batches too few of what succeeded.
struct PlanOfLane {
  private let store: StreamStore
  private let mapping: MappingInfo
  private let settings: MappingSettings
  private let stream: StreamInfo
  private let shard: ShardInfo
  private let lane: StoredLane
  private let slot: Int
  private let laneCount: Int
  private let now: WallTime

  /// Records of a plan where `--records` does not say: what is frozen, and some behind it.
  static let recordsShown = 1_000

  init(of name: String, shard: String?, lane: Int?, in directory: String) throws {
    let store = try Connection.open(directory, role: .looker)
    let catalog = try store.catalog()
    guard let mapping = catalog.mapping(named: name) else {
      let known = catalog.mappings.values.map(\.name).sorted().joined(separator: ", ")
      throw Problem(Exit.badInput, "There is no mapping \(name)." + (known.isEmpty ? "" : " There are: \(known)."))
    }
    guard let settings = MappingSettings(decoding: mapping.settings), let stream = catalog.streams[settings.stream]
    else { throw Problem(Exit.badInput, "The stream of mapping \(name) was deleted.") }
    (self.store, self.mapping, self.settings, self.stream) = (store, mapping, settings, stream)
    now = WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
    var found: [(ShardInfo, [StoredLane])] = []
    for info in catalog.shards(of: stream.number) {
      if let shard {
        guard let number = ShardNumber(shard) else {
          throw Problem(Exit.badInput, "\(shard) is not a shard: write 3 or shardId-000000000003.")
        }
        guard info.address.shard == number else { continue }
      }
      let rows = try store.lanes(of: mapping.number, on: info.address)
      let fresh = StoredLane(progress: LaneProgress(next: info.firstAvailable), history: AttemptHistory())
      found.append((info, try StoredShare(rows, of: info)?.lanes ?? [fresh]))
    }
    let places = found.flatMap { info, lanes in lanes.indices.map { (info, lanes, $0) } }
      .filter { lane == nil || $0.2 == lane }
    // The one that is worth a plan, if nobody says which.
    guard let place = places.first(where: { $0.1[$0.2].progress.failing != nil }) ?? places.first else {
      throw Problem(
        Exit.badInput,
        "Stream \(stream.name) has no \(shard.map { "shard \($0)" } ?? "shards")"
          + (lane.map { " with lane \($0)" } ?? "") + ".")
    }
    (self.shard, slot, laneCount) = (place.0, place.2, place.1.count)
    self.lane = place.1[place.2]
  }

  func request(_ options: PlanCommand) throws -> PlanRequest {
    var policy = settings.policy
    var notes: [String] = []
    var progress = lane.progress
    let place = "\(shard.address.shard)" + (laneCount > 1 ? " lane \(slot)" : "")
    let known = try records(limit: options.records ?? Self.recordsShown)
    let first = progress.failing?.extent.first ?? progress.next
    notes.append(
      "record 1 is \(shard.sequenceNumber(of: known.first ?? first)) of \(place), as stored \(Text.moment(now.milliseconds, now: now.milliseconds))"
    )
    if policy.parking != nil {
      policy.parking = nil
      notes.append("blocking by key is left out: in the plan a failing batch blocks its lane.")
    }
    if known.isShort {
      notes.append("the records behind the frozen batches are left out: the lane does not take all of its shard's")
    }
    guard !known.ages.isEmpty else {
      let what = progress.window == nil ? "nothing to deliver" : "no records to deliver, only the end of its window"
      throw Problem(Exit.badInput, "\(place) has \(what): there is no plan.")
    }

    var failures = PlannedFailures(policy: policy, rules: RetryRuleMatcher(settings.retryRules))
    failures.reportsItemFailures = PlanRequest.reportsItemFailures(settings)
    failures.standardTimes = try PlanRequest.times(options.until)
    for text in options.fail { try failures.add(text, standardManner: options.failAs) }
    guard failures.greatest <= known.ages.count else {
      throw Problem(Exit.wrongUsage, "--fail \(failures.greatest): there are records 1 to \(known.ages.count)")
    }
    var records = known.ages.map { PlannedRecord(ageMilliseconds: $0) }
    for (number, failure) in failures.byRecord { records[number - 1].failure = failure }
    if options.fail.isEmpty, let failing = progress.failing, !failing.extent.isEmpty {
      // Where every failure is named and none of the batch is done, each of its records was named.
      let areAllNamed = remembered?.namesEveryFailure == true && failing.lastFailure == .reportedNoProgress
      let count = areAllNamed ? min(failing.extent.count, records.count) : 1
      for place in 0..<count {
        records[place].failure = PlannedFailure(
          failing.lastFailure, rule: lastRule(of: failing), times: failures.standardTimes)
      }
      notes.append(
        (count == 1 ? "record 1 goes on to fail as it" : "records 1–\(count) go on to fail as they")
          + " last did (\(failing.lastFailure.name)); --fail says otherwise")
    }

    var scenario = PlanScenario(policy: policy, records: records)
    scenario.namesEveryFailure = remembered?.namesEveryFailure ?? false
    if case .field(let path) = remembered?.settings.key {
      notes.append(
        "records with one value at $.\(path.joined(separator: ".")) are done once; in the plan each is its own")
    }
    scenario.beginning = now
    scenario.handlerMilliseconds =
      options.takes == PlanCommand.noTime
      ? lane.history.last?.durationMilliseconds ?? 0 : try PlanRequest.milliseconds(options.takes, "--takes")
    // Numbered from zero, as the records of a scenario are.
    progress.next = .zero
    progress.parksKeys = false
    progress.isFinished = false
    if let failing = progress.failing {
      progress.failing?.extent =
        failing.extent.isEmpty
        ? .empty(at: .zero, arrival: failing.extent.firstArrival)
        : BatchExtent(
          first: .zero, count: failing.extent.count, firstArrival: failing.extent.firstArrival,
          lastArrival: failing.extent.lastArrival, payloadBytes: failing.extent.payloadBytes)
    }
    if progress.isPaused {
      progress.isPaused = false
      notes.append("the lane is paused: the plan begins when it is resumed")
    }
    scenario.progress = progress
    return PlanRequest(
      name: mapping.name, settings: settings, retentionMilliseconds: stream.retentionMilliseconds, scenario: scenario,
      notes: notes)
  }

  private func lastRule(of failing: FailingBatch) -> RetryRuleID? {
    let last = lane.history.last(where: { $0.isOf(first: failing.extent.first, count: failing.extent.count) })
    guard let name = last?.rule, let place = settings.retryRules.firstIndex(where: { $0.name == name }) else {
      return nil
    }
    return RetryRuleID(UInt8(place))
  }

  /// What the mapping remembers as done, if it does.
  private var remembered: (settings: Idempotency, namesEveryFailure: Bool)? {
    settings.parameters["idempotency"].flatMap { Idempotency.reading($0) }
  }

  /// The ages of the lane's records from its checkpoint on, and the index of the first. Where it takes only some of its
  /// shard's, just those of the frozen batches: how many they are is known, and when the failing one arrived.
  private func records(limit: Int) throws -> (ages: [Int64], first: RecordIndex?, isShort: Bool) {
    let progress = lane.progress
    let failing = progress.failing.flatMap { $0.extent.isEmpty ? nil : $0.extent }
    let frozen = (failing?.count ?? 0) + progress.pieces.reduce(0, +)
    let filters = settings.parameters[MappingParameter.filters.rawValue]
    let takesAll = laneCount == 1 && lane.sharing.isWhole && (filters == nil || filters == "{}") && !progress.parksKeys
    guard takesAll else {
      let newest = failing.map { $0.lastArrival.age(at: now) } ?? 0
      var ages = Array(repeating: newest, count: frozen)
      if let failing { ages[0] = failing.firstArrival.age(at: now) }
      return (ages, failing?.first ?? progress.next, true)
    }
    let settled = try remembered.map { try SettledLook($0.settings, of: mapping.number, in: store, at: now) }
    var ages: [Int64] = []
    var next = failing?.first ?? progress.next
    var first: RecordIndex?
    let wanted = max(limit, frozen)
    while ages.count < wanted {
      let read = try store.read(
        shard.address, from: next, countLimit: wanted - ages.count, payloadByteLimit: 8 << 20, recordOverheadBytes: 0,
        readAheadBytes: 0)
      guard case .records(let found) = read else { break }
      let origin = BatchOrigin(
        stream: stream.name, kind: stream.kind, streamCreatedAt: stream.createdAt, shard: shard.address.shard,
        shardCreatedAtSeconds: shard.createdAtSeconds, attempt: 1)
      let batch = RecordBatch(origin: origin, run: found.run, range: 0..<found.batch.count)
      for position in 0..<found.batch.count {
        // What is remembered as done is passed.
        if let settled, try settled.isSettled(batch[position]) { continue }
        if ages.isEmpty { first = found.run.index(at: position) }
        ages.append(found.run.arrival(at: position).age(at: now))
      }
      next = found.run.index(at: found.batch.count - 1).advanced(by: 1)
    }
    return (ages, first, false)
  }
}
