public import StreamModel

/// What one can ask of a store, or of the worker that has it open. One JSON value on the wire.
public enum OperatorRequest: Codable, Hashable, Sendable {
  case status
  /// The lanes of a mapping, of one of its shards, or one of them; of several, those that are not in order, or all of
  /// them if all are.
  case explain(mapping: String, shard: String?, lane: Int? = nil)
  /// The story of one record with a mapping, by its sequence number.
  case record(mapping: String, sequenceNumber: String)
  /// Acts on lanes; without a shard, on all lanes of the mapping; without a lane, on all of the shard.
  case act(LaneAction, mapping: String, shard: String?, lane: Int? = nil, consent: Consent)
  /// Deliveries of a mapping whose records were delivered before, the newest first, at most `limit`; of one shard, or all.
  case duplicates(mapping: String, shard: String?, limit: Int)
  case listFailures(FailureQuery)
  case showFailure(entry: UInt64)
  /// Delivers entries again: by their own mapping, or by `to`, another one of the same stream; one entry with another
  /// payload, if there is one.
  case redrive(FailureQuery, to: String? = nil, payload: EditedPayload? = nil, consent: Consent)
  /// Takes entries to their mapping's destination: those that are named, or those that are not there.
  case redeliver(FailureQuery, consent: Consent)
  case purge(FailureQuery, consent: Consent)
  case listStreams
  case describeStream(name: String)
  case createStream(
    name: String, shards: Int, retentionMilliseconds: Int64, recordByteLimit: Int, kind: StreamKind = .kinesis)
  case deleteStream(name: String, consent: Consent)
  /// Splits at a hash key, in decimal; without one, in the middle.
  case splitShard(stream: String, shard: String, at: String?)
  case mergeShards(stream: String, shard: String, other: String)
  case audit(limit: Int)
  /// Compares a configuration with what runs, and with consent makes it run. Only a worker can.
  case apply(ConfigurationText, consent: Consent)
  /// Deletes a mapping that does not run, with its checkpoints. Its failure entries stay.
  case deleteMapping(name: String, consent: Consent)
  /// Where the lanes of a mapping stand; of one shard, or all.
  case positions(mapping: String, shard: String?)
  case seek(SeekOrder, consent: Consent)
  /// Lets a mapping that has not run begin where another one of the same stream stands.
  case copyPositions(from: String, to: String, consent: Consent)
  /// What the functions of a worker do. Only a worker knows.
  case listFunctions
}

/// Who asks, and whether it may happen: without `isApplied` the answer says what would happen and nothing changes.
public struct Consent: Codable, Hashable, Sendable {
  public var actor: String
  public var isApplied: Bool

  public init(actor: String, isApplied: Bool) {
    self.actor = actor
    self.isApplied = isApplied
  }
}

public enum LaneAction: Codable, Hashable, Sendable {
  case pause
  case resume
  /// Deliver the failing batch now instead of when it is due.
  case retry
  /// Give up the records up to and including this sequence number, in the lane that has it; without one, the failing
  /// batch.
  case skip(through: String?)
  /// Give up the record of a parked key that fails, or everything that is parked of the key by now. The other keys of
  /// its lane are not concerned.
  case skipKey(String, isAll: Bool)
}

/// Which failure entries are meant. Everything that is given must hold.
public struct FailureQuery: Codable, Hashable, Sendable {
  public var mapping: String?
  public var shard: String?
  /// Those with a record of this partition key.
  public var key: String?
  /// Empty: all.
  public var entries: [UInt64]

  public init(mapping: String? = nil, shard: String? = nil, key: String? = nil, entries: [UInt64] = []) {
    self.mapping = mapping
    self.shard = shard
    self.key = key
    self.entries = entries
  }
}
