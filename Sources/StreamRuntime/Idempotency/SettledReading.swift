import ShardCore
import StreamModel
import StreamStore

/// What a lane of a mapping with an idempotency store knows when it reads.
struct SettledView: Sendable {
  var keys: SettledKeys
  /// What is on its way to the store, the newest first.
  var layers: [TableWrites]
}

/// Reads of such a lane: records that are done are passed, and two records with one key are never in one batch.
extension LaneReader {
  func readUnsettled(
    _ shard: ShardAddress, _ request: ReadRequest, _ view: SettledView, into buffer: inout LaneBuffer
  ) -> ReadAnswer {
    // What was read ahead was judged before the last delivery: some of it may be done now.
    if request.purpose == .deliver { buffer.scanned = RecordIndex.zero..<RecordIndex.zero }
    let found = SettledSelection(own: buffer.selection.take(), view: view, now: clock().wall)
    var selection: any RecordSelecting = found
    let answer = readSelected(
      shard, request, selecting: &selection, into: &buffer, takingAtMost: request.countLimit)
    guard let settled = selection as? SettledSelection else { preconditionFailure("a selection stays what it is") }
    buffer.selection = settled.own
    if request.purpose == .deliver { buffer.settled = settled.passed }
    if let error = settled.failure { return self.answer(to: error, shard) }
    return answer
  }
}

/// Leaves out what is done, of those that the lane takes.
struct SettledSelection: RecordSelecting {
  var own: (any RecordSelecting)?
  let view: SettledView
  let now: WallTime
  /// The keys of the records that were taken.
  private var taken: Set<SettledKey> = []
  /// The records that were left out.
  private(set) var passed: [RecordIndex] = []
  /// Why a key could not be looked up. Nothing is known of the record then, and the walk is over.
  private(set) var failure: StoreError?

  init(own: (any RecordSelecting)?, view: SettledView, now: WallTime) {
    self.own = own
    self.view = view
    self.now = now
  }

  mutating func verdict(on record: borrowing RecordView) -> SelectionVerdict {
    var verdict = SelectionVerdict.taken
    if var selection = own {
      verdict = selection.verdict(on: record)
      own = selection
      guard verdict.isTaken else { return verdict }
    }
    guard let key = view.keys.key(of: record) else { return verdict }
    do throws(StoreError) {
      if try view.keys.isSettled(key, view.layers, at: now) {
        passed.append(record.sequenceNumber.index)
        return .done
      }
    } catch {
      failure = error
      return .endsBatch
    }
    // Whether the second one is done is known when the first one is.
    return taken.insert(key).inserted ? verdict : .endsBatch
  }
}

/// Leaves out these records, of those that the lane takes.
struct PassingSelection: RecordSelecting {
  var own: (any RecordSelecting)?
  let passed: Set<RecordIndex>

  mutating func verdict(on record: borrowing RecordView) -> SelectionVerdict {
    if passed.contains(record.sequenceNumber.index) { return .done }
    guard var selection = own else { return .taken }
    defer { own = selection }
    return selection.verdict(on: record)
  }
}
