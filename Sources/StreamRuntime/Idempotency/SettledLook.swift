public import StreamModel
public import StreamStore

/// What a mapping remembers as done, for who only looks at its store.
public struct SettledLook: Sendable {
  private let keys: SettledKeys

  /// Counts the keys, which is a walk. `now` decides which have expired.
  public init(
    _ settings: Idempotency, of mapping: MappingNumber, in store: StreamStore, at now: WallTime
  ) throws(StoreError) {
    let moment = Now(monotonic: .zero, wall: now)
    keys = try SettledKeys(settings, of: mapping, in: store, clock: { moment })
  }

  /// Whether the record is passed as done. What a worker has done and not stored yet is not known here.
  public func isSettled(_ record: borrowing RecordView) throws(StoreError) -> Bool {
    guard let key = keys.key(of: record) else { return false }
    return try keys.isSettled(key, [], at: keys.now)
  }
}
