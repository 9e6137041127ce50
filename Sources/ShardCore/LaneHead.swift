import StreamModel

/// What is decided about the batch that begins at the lane's checkpoint.
enum LaneHead: Hashable {
  /// Nothing: it is formed at the next read.
  case open
  /// It has so many records and was never delivered in this form: one of the halves of a batch that failed, or the rest
  /// of one whose first records are settled.
  /// It is not topped up, does not wait for a window and has all its attempts.
  case cut(count: Int)
  /// It has failed at least once.
  case failing(FailingBatch)

  /// How many records are frozen into the batch; `nil` while it is open.
  var count: Int? {
    switch self {
    case .open: nil
    case .cut(let count): count
    case .failing(let batch): batch.extent.count
    }
  }

  var failing: FailingBatch? {
    if case .failing(let batch) = self { batch } else { nil }
  }

  var attempts: Int { failing?.attempts ?? 0 }

  var isFailing: Bool {
    if case .failing = self { true } else { false }
  }
}
