internal import StreamModel

/// A part of a recording before it is text: its lines, and its records as they lie in memory.
///
/// It does not change any more, and what it becomes depends on nothing else: so each may become text on another thread.
public struct RecordingDraft: Sendable {
  enum Part: Sendable {
    /// A line that lacks its check and its closing brace.
    case line(String)
    case records(RecordRun, Range<Int>, of: ShardText)
  }

  var parts: [Part] = []
  /// Of text that it becomes: about.
  var byteCount = 0
  /// Behind its last line comes the last one of the recording, which says that it has so many shards.
  var shardCount: Int?
}

/// What the lines of a shard's records have in common.
struct ShardText: Sendable {
  let shard: ShardNumber
  /// `{"shard":3,"index":`
  let prefix: [UInt8]
  let createdAtSeconds: UInt64

  init(_ shard: RecordedShard) {
    self.shard = shard.shard
    prefix = Array(#"{"shard":\#(shard.shard.rawValue),"index":"#.utf8)
    createdAtSeconds = shard.createdAtSeconds
  }
}
