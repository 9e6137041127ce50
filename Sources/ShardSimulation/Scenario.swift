import StreamModel
import ShardCore

/// A world's settings, drawn from the seed: policies and how often what goes wrong. Each fault is off in some worlds, so
/// that no fault hides what another would show.
struct Scenario {
  var policies: [LanePolicy] = []
  /// The lanes that work on each shard: of which mapping, and on which records.
  var lanesOfShard: [ShardLane] = []
  /// Records that a read looks at, at most, before it says that none was the lane's.
  var scanLimit = Int.max
  var limits = PollerLimits()
  /// Times in a thousand.
  var crashes = 0
  var refusals = 0
  var storeFull = 0
  var failures = 0
  var hangs = 0
  var repeats = 0
  var unavailable = 0
  var corruptions = 0
  var trims = 0
  var reshards = 0
  var operators = 0
  var changes = 0
  /// Mappings that had tumbling windows at the beginning.
  var hadWindows: Set<Int> = []
  /// Mappings that remember what is done.
  var settlesKeys: Set<Int> = []
  var drains = 0
  var clockSteps = 0
  var poison = 0
  /// That another number of lanes shares the shards when a process starts.
  var factorChanges = 0
  var oversized = 0
  /// Time between two events, in microseconds, at most.
  var pace = 0
  var steps = 0

  static let shardLimit = 12
  static let mappingLimit = 3
  /// All lanes of a world have a bit of one number.
  static let laneLimitOfShard = 5

  struct ShardLane {
    var mapping: Int
    var selection: LaneSelection
    /// For a track of a lane that blocks by key: how many places before it the lane stands. Zero: a lane.
    var track = 0
  }
  static let recordLimit = 192

  init(random: inout SplitMix64) {
    let mappingCount = random.within(1...Self.mappingLimit)
    for _ in 0..<mappingCount { policies.append(Self.policy(&random)) }
    for position in policies.indices { policies[position].retryRules = Self.retryRules(&random) }
    // Drawn once, and a neighbour's differs: a lane must keep to the bound of its own mapping.
    let bound = random.within(0...3)
    for position in policies.indices {
      policies[position].unstoredBatchLimit = 1 + (bound + position) % 4
      // Not drawn, so that worlds without it stay what they were.
      policies[position].keepsWrites = (bound + policies[position].batchSize).isMultiple(of: 2)
    }
    limits = PollerLimits(
      storeRetryMilliseconds: Int64(random.within(1...8)), redriveLimit: random.within(1...4))
    drawLanes(&random)
    func rate(_ most: Int, _ random: inout SplitMix64) -> Int { random.chance(500) ? random.within(1...most) : 0 }
    crashes = rate(6, &random)
    refusals = rate(200, &random)
    storeFull = rate(4, &random)
    failures = rate(500, &random)
    hangs = rate(200, &random)
    repeats = rate(200, &random)
    unavailable = rate(100, &random)
    corruptions = rate(10, &random)
    trims = rate(15, &random)
    reshards = rate(8, &random)
    operators = rate(60, &random)
    drains = rate(4, &random)
    clockSteps = rate(5, &random)
    poison = rate(60, &random)
    let allEnd = policies.allSatisfy { $0.maximumRetryAttempts != nil || $0.maximumRecordAgeMilliseconds != nil }
    oversized = allEnd ? rate(30, &random) : 0
    pace = [200, 1_000, 5_000][random.below(3)]
    changes = rate(40, &random)
    factorChanges = rate(600, &random)
    // Short ones too: what was forgotten shows only where nothing comes after it.
    steps = random.chance(600) ? random.within(20...400) : random.within(400...4_000)
    // From dice of their own: worlds without windows stay the worlds they were.
    var copy = random
    var own = SplitMix64(seed: copy.next() ^ 0x7477_696e_646f_7773)
    drawWindows(&own)
    var others = SplitMix64(seed: own.next() ^ 0x6b65_7973)
    for place in policies.indices where others.chance(350) {
      guard policies[place].parking == nil, policies[place].tumblingWindowMilliseconds == 0 else { continue }
      settlesKeys.insert(place)
      policies[place].keepsWrites = true
    }
    var loops = SplitMix64(seed: others.next() ^ 0x6c6f_6f70_73)
    for place in policies.indices where loops.chance(300) {
      policies[place].recursiveLoopLimit = Lineage(hops: loops.within(1...4))
    }
    var ages = SplitMix64(seed: loops.next() ^ 0x6167_6573)
    for place in policies.indices { policies[place].leavesAheadOfAge = ages.chance(300) }
    var shadows = SplitMix64(seed: loops.next() ^ 0x7368_6164_6f77)
    for place in policies.indices where shadows.chance(120) {
      guard policies[place].parking == nil, policies[place].tumblingWindowMilliseconds == 0,
        !settlesKeys.contains(place)
      else { continue }
      policies[place].isShadow = true
      policies[place].keepsWrites = false
      // That a record was too large can be seen on the poller only where it blocks.
      oversized = 0
    }
  }

  /// A world in which nothing happens by chance.
  init(policy: LanePolicy, limits: PollerLimits) {
    policies = [policy]
    lanesOfShard = [ShardLane(mapping: 0, selection: .all)]
    self.limits = limits
    pace = 1
  }

  /// One lane for each mapping and shard, or some that share the keys; with or without a filter.
  private mutating func drawLanes(_ random: inout SplitMix64) {
    var left = Self.laneLimitOfShard - policies.count
    for mapping in policies.indices {
      if random.chance(350), left > 0 {
        let tracks = random.within(1...min(left, 2))
        left -= tracks
        addKeyLane(of: mapping, tracks: tracks, &random)
        continue
      }
      let more = random.chance(300) ? min(left, random.within(1...2)) : 0
      left -= more
      let rejected = random.chance(400) ? UInt8(truncatingIfNeeded: random.next()) : 0
      for slot in 0...more {
        lanesOfShard.append(
          ShardLane(
            mapping: mapping,
            selection: LaneSelection(sharing: LaneSharing(factor: more + 1), slot: slot, rejected: rejected)))
      }
    }
    scanLimit = random.within(1...24)
  }

  /// Up to three rules, and which of them failures fall under that the core finds by itself.
  private static func retryRules(_ random: inout SplitMix64) -> RetryRules? {
    guard random.chance(400) else { return nil }
    var rules: [RetryAction] = []
    for _ in 0..<random.within(1...3) {
      let backoff = Backoff(
        firstMilliseconds: Int64(random.within(1...20)), capMilliseconds: longestWait,
        jitterPercent: random.within(0...50),
        growthPercent: [100, 150, 200, 300][random.below(4)])
      let usesAttempt: Bool? = [nil, false, true][random.below(3)]
      rules.append(
        random.chance(400)
          ? .giveUp : .retry(usesAttempt: usesAttempt, random.chance(500) ? backoff : nil))
    }
    let draws = random.next()
    return RetryRules(rules) { kind in
      let draw = draws >> (4 * UInt64(kind.rawValue)) & 7
      guard draw < rules.count else { return nil }
      // A record that is too large must leave some time.
      if kind == .payloadTooLarge, case .retry(usesAttempt: false, _) = rules[Int(draw)] { return nil }
      return RetryRuleID(UInt8(draw))
    }
  }

  /// Gives one of the mappings another number of lanes, within what a world has room for. The numbers of lanes that the
  /// mappings had, and those that they have now; `nil` if they are the same. Not where one blocks by key.
  mutating func changeFactor(_ random: inout SplitMix64) -> (former: [Int], new: [Int])? {
    let former = policies.indices.map { mapping in lanesOfShard.count { $0.mapping == mapping } }
    let mapping = random.below(policies.count)
    guard policies.allSatisfy({ $0.parking == nil }) else { return nil }
    // In windows a shard has one lane, and what is handed on is its own.
    guard !hadWindows.contains(mapping) else { return nil }
    var new = former
    let room = Self.laneLimitOfShard - former.reduce(0, +) + former[mapping]
    new[mapping] = random.within(1...room)
    return new == former ? nil : (former, new)
  }

  /// A lane of this mapping that blocks by key, and its tracks.
  private mutating func addKeyLane(of mapping: Int, tracks: Int, _ random: inout SplitMix64) {
    policies[mapping].keepsWrites = false
    policies[mapping].parking = ParkingPolicy(
      keyLimit: random.within(1...6), recordLimit: random.within(1...30), deliveryLimit: tracks)
    let rejected = random.chance(300) ? UInt8(truncatingIfNeeded: random.next()) : 0
    for track in 0...tracks {
      lanesOfShard.append(
        ShardLane(mapping: mapping, selection: LaneSelection(rejected: rejected), track: track))
    }
  }

  private mutating func drawWindows(_ random: inout SplitMix64) {
    for place in policies.indices where random.chance(350) && policies[place].parking == nil {
      hadWindows.insert(place)
      policies[place].keepsWrites = false
      policies[place].tumblingWindowMilliseconds = Int64(random.within(2...80))
    }
    limits.windowStateByteLimit = random.within(4...40)
    limits.windowCloseDelayMilliseconds = Int64(random.within(0...10))
  }

  static let payloadLimit = 100
  /// The longest wait between two deliveries, in milliseconds.
  static let longestWait: Int64 = 60

  /// New settings for a mapping while it runs. The bound on what is not stored is no setting of a mapping, and what
  /// keeps an oversized record from blocking its lane for ever stays.
  mutating func changePolicy(of mapping: Int, _ random: inout SplitMix64) {
    var policy = Self.policy(&random)
    policy.unstoredBatchLimit = policies[mapping].unstoredBatchLimit
    policy.keepsWrites = policies[mapping].keepsWrites
    policy.isShadow = policies[mapping].isShadow
    // Failures are matched against them outside: they change only while the mapping is closed.
    policy.retryRules = policies[mapping].retryRules
    policy.parking = policies[mapping].parking
    policy.recursiveLoopLimit = policies[mapping].recursiveLoopLimit
    policy.leavesAheadOfAge = policies[mapping].leavesAheadOfAge
    if policy.maximumRetryAttempts == nil, policy.maximumRecordAgeMilliseconds == nil {
      policy.maximumRetryAttempts = policies[mapping].maximumRetryAttempts
      policy.maximumRecordAgeMilliseconds = policies[mapping].maximumRecordAgeMilliseconds
    }
    let windows = policies[mapping].tumblingWindowMilliseconds
    if windows > 0, !random.chance(150) { policy.tumblingWindowMilliseconds = windows }
    policies[mapping] = policy
  }

  private static func policy(_ random: inout SplitMix64) -> LanePolicy {
    LanePolicy(
      batchSize: random.within(1...8), payloadByteLimit: payloadLimit,
      windowMilliseconds: random.chance(400) ? Int64(random.within(1...60)) : 0,
      maximumRetryAttempts: random.chance(600) ? random.within(0...3) : nil,
      maximumRecordAgeMilliseconds: random.chance(500) ? Int64(random.within(5...400)) : nil,
      bisectsBatchOnError: random.chance(400), handlerTimeoutMilliseconds: Int64(random.within(5...80)),
      retryBackoff: Backoff(
        firstMilliseconds: Int64(random.within(1...10)), capMilliseconds: longestWait, jitterPercent: 20),
      systemBackoff: Backoff(
        firstMilliseconds: Int64(random.within(1...20)), capMilliseconds: longestWait, jitterPercent: 20),
      deliveriesInFlightLimit: random.within(1...4))
  }
}
