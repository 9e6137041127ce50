import Recordings
import StreamModel

/// The pieces of one shard that lanes may still ask for, in the order of the shard. What is given up is referred to no more.
struct KeptPieces {
  /// Those before `head` are given up.
  private var pieces: [PackedRecords?] = []
  private var head = 0

  var count: Int { pieces.count - head }
  /// Of their records.
  var byteCount: Int { pieces[head...].reduce(0) { $0 + ($1?.byteCount ?? 0) } }
  var last: PackedRecords? { count > 0 ? pieces[pieces.count - 1] : nil }

  mutating func append(_ piece: PackedRecords) { pieces.append(piece) }

  /// Gives up the first piece if its records stand before `index`.
  mutating func popFirst(before index: RecordIndex) -> PackedRecords? {
    guard count > 0, let first = pieces[head], first.end <= index else { return nil }
    pieces[head] = nil
    head += 1
    if head == pieces.count {
      pieces.removeAll(keepingCapacity: true)
      head = 0
    } else if head >= 32, head * 2 >= pieces.count {
      pieces.removeFirst(head)
      head = 0
    }
    return first
  }

  /// The pieces that hold the record or those behind it. A search by halves.
  func from(_ index: RecordIndex) -> some Sequence<PackedRecords> {
    var (low, high) = (head, pieces.count)
    while low < high {
      let middle = (low + high) / 2
      if (pieces[middle]?.end ?? .zero) <= index { low = middle + 1 } else { high = middle }
    }
    return pieces[low...].lazy.compactMap(\.self)
  }
}
