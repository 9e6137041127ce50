import ShardCore
import StreamModel

/// The store as an outbox sees it: what is committed, and the notes that wait to be.
struct OutboxStore {
  struct Row: Hashable {
    var state: State
    var attempts: Int
    /// When it is tried next, or what it came to was noted.
    var at: WallTime

    enum State: Hashable {
      case pending, delivered, undeliverable
    }

    static func pending(since now: WallTime) -> Row { Row(state: .pending, attempts: 0, at: now) }
  }

  struct Note {
    var number: UInt64
    var outcome: OutboxOutcome
    /// What the delivery had found.
    var former: Row
  }

  var rows: [UInt64: Row] = [:]
  var notes: [Note] = []

  func pending(after number: UInt64, limit: Int) -> [OutboxEntry] {
    rows.filter { $0.key > number && $0.value.state == .pending }.sorted { $0.key < $1.key }.prefix(limit)
      .map { OutboxEntry(number: $0.key, attempts: $0.value.attempts, retryAt: $0.value.at) }
  }

  /// What the row becomes; `nil` if the note does not hold: the entry is gone, or was stored anew meanwhile. That it was
  /// delivered holds in any case.
  func row(after note: Note, at now: WallTime) -> Row? {
    guard let known = rows[note.number], known == note.former || note.outcome == .delivered else { return nil }
    switch note.outcome {
    case .delivered: return Row(state: .delivered, attempts: 0, at: now)
    case .retry(let attempts, let at): return Row(state: .pending, attempts: attempts, at: at)
    case .undeliverable(let attempts): return Row(state: .undeliverable, attempts: attempts, at: now)
    }
  }
}
