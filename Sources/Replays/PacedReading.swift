import Recordings
import StreamModel

/// A part of a recording record by record, for records that come when they came.
final class PacedReading {
  private var reader: RecordingReader
  private let part: RecordingPart
  /// The record that was read last stays, until it is taken.
  private var isWaiting = false

  enum Line {
    /// The record that the reading is at; or one before the part, and what its shard begins with at the earliest.
    case record(before: RecordIndex?)
    case shardOpened(RecordedShard)
    case shardClosed(RecordedClosing)
  }

  init(_ reader: consuming RecordingReader, _ part: RecordingPart) {
    self.reader = reader
    self.part = part
  }

  var status: RecordingStatus { RecordingStatus(reader) }
  var shard: ShardNumber { reader.shard }
  var index: RecordIndex { reader.index }
  var arrival: WallTime { reader.arrival }
  var importedSequenceNumber: String? { reader.importedSequenceNumber }

  /// The record that the reading is at, as long as it was not taken; or else what follows. `nil` at the end.
  func next() throws(RecordingError) -> Line? {
    if isWaiting { return .record(before: nil) }
    while let line = try reader.next() {
      switch line {
      case .shardOpened(let shard): if isWanted(shard.shard) { return .shardOpened(shard) }
      case .shardClosed(let closing): if isWanted(closing.shard) { return .shardClosed(closing) }
      // What became of them once is for who compares.
      case .missing, .outcome, .checkpoint: continue
      case .record:
        guard isWanted(reader.shard), part.to.map({ reader.arrival < $0 }) ?? true else { continue }
        if let from = part.from, reader.arrival < from { return .record(before: reader.index.advanced(by: 1)) }
        isWaiting = true
        return .record(before: nil)
      }
    }
    return nil
  }

  private func isWanted(_ shard: ShardNumber) -> Bool { part.shards?.contains(shard) ?? true }

  /// Takes the record that the reading is at.
  func take(into log: RecordingLog) {
    log.append(from: reader)
    isWaiting = false
  }
}
