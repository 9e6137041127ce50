import Locks
import StreamModel

/// The sequence numbers that imported records had where they come from, as long as lanes may ask for the records.
final class ImportedNumbers: Sendable {
  private let shards = Mutex<[ShardNumber: [Piece]]>([:])

  /// Numbers of records that follow one another.
  private struct Piece {
    let first: RecordIndex
    var texts: [String] = []

    var end: RecordIndex { first.advanced(by: texts.count) }
  }

  /// So many are given up together: of each shard, fewer than that are kept though they were passed.
  private static let pieceCount = 128

  /// Of a record behind those that were added before.
  func add(_ text: String, of index: RecordIndex, in shard: ShardNumber) {
    shards.withLock { shards in
      // Taken out, so that nothing is copied.
      var pieces = shards.removeValue(forKey: shard) ?? []
      let last = pieces.count - 1
      if last >= 0, pieces[last].end == index, pieces[last].texts.count < Self.pieceCount {
        pieces[last].texts.append(text)
      } else {
        pieces.append(Piece(first: index, texts: [text]))
      }
      shards[shard] = pieces
    }
  }

  /// Nobody asks for records before this one any more.
  func pass(_ shard: ShardNumber, before index: RecordIndex) {
    shards.withLock { shards in
      guard let first = shards[shard]?.first, first.end <= index else { return }
      shards[shard]?.removeAll { $0.end <= index }
    }
  }

  /// The batch with the sequence numbers of its records, if they were imported.
  func naming(_ batch: RecordBatch) -> RecordBatch {
    let texts: [String]? = shards.withLock { shards in
      guard let pieces = shards[batch.origin.shard] else { return nil }
      var place = 0
      return (0..<batch.count).map { position in
        let index = batch.index(at: position)
        while place < pieces.count, pieces[place].end <= index { place += 1 }
        guard place < pieces.count, pieces[place].first <= index else {
          return batch.sequenceNumber(at: position).description
        }
        return pieces[place].texts[Int(pieces[place].first.distance(to: index))]
      }
    }
    guard let texts else { return batch }
    var named = batch
    named.origin.importedSequenceNumbers = texts
    return named
  }
}
