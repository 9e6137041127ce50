import ShardCore
import StreamModel
import StreamStore

/// The hashes of the partition keys of a run, by position, made as they are asked for: many batches are cut out of one
/// run, and what is hashed for a batch is still near when the batch is measured and delivered.
struct KeyHashes: Sendable {
  private var hashes: [UInt64] = []
  /// Those at these positions are made.
  private var known = 0..<0
  /// So many are made at once.
  private static let stride = 256

  /// They are those of another run from here on.
  mutating func forget() { known = 0..<0 }

  /// Of a position that ``firstPosition(of:in:of:)`` gave.
  subscript(position: Int) -> PartitionKeyHash { PartitionKeyHash(hashes[position]) }

  /// The first of the positions whose record has one of the keys; the end of `positions` if none has.
  mutating func firstPosition(of keys: ParkedKeySet, in positions: Range<Int>, of run: RecordRun) -> Int {
    var position = positions.lowerBound
    while position < positions.upperBound {
      if !known.contains(position) { make(from: position, of: run) }
      let end = min(positions.upperBound, known.upperBound)
      let found = hashes.withUnsafeBufferPointer { keys.firstPosition(of: $0, in: position..<end) }
      if found < end { return found }
      position = end
    }
    return position
  }

  /// Batches come one behind the other, so that what is known goes on where it ended.
  private mutating func make(from position: Int, of run: RecordRun) {
    let end = min(run.count, position + Self.stride)
    hashes.resize(to: run.count)
    hashes.withUnsafeMutableBufferPointer { run.writePartitionKeyHashes(of: position..<end, to: $0) }
    known = (position == known.upperBound ? known.lowerBound : position)..<end
  }
}
