import CoreMetrics
import Locks
import Logging
import ShardCore
import StreamModel
import StreamStore

/// Carries out the reads and deliveries of one lane.
///
/// The poller orders at most one read and one delivery of a lane at a time, so the buffer has one user at a time; the
/// lock hands it from task to task. Cancelling comes from other threads.
final class LaneRunner: Sendable {
  let id: LaneID
  let place: LanePlace
  let shardCreatedAtSeconds: UInt64
  let mapping: MappingRunner
  /// Of a lane that blocks by key, and of its tracks.
  let parkedHistories: ParkedHistories?
  /// The tracks of a lane that blocks by key; set once, when the lane is opened.
  let tracks = Mutex<[LaneRunner]>([])
  /// Whose entries its handler writes.
  private let tableLane: TableLane

  let state: Mutex<State>

  struct State {
    var buffer = LaneBuffer()
    var handling: Handling
    /// What a transactional handler wrote.
    var writes = LaneWrites()
    /// The failed deliveries of the records from the checkpoint on: of a track, those of the key it works on.
    var history: AttemptHistory
    /// The batch that was delivered last.
    var historyExtent: BatchExtent?
    var historyKey: PartitionKeyHash?
    /// What an operator last did to its records.
    var intervention: RecordEvent?
    /// Kept while the batch stays the same: retries carry the same id. Empty until a delivery has failed.
    var requestID = ""
    /// The id of the redrive that runs; empty until somebody needs it.
    var redriveRequestID = ""
    /// The task that carries out the lane's last order, once whoever started it has noted it here.
    var task: Task<Void, Never>?
    /// Which records were delivered before.
    var tracker: RedeliveryTracker
    /// What was noted of the delivery under way.
    var noted: RedeliveryLog.Noted?
    /// How many tasks were started.
    var taskCount = 0
    /// The delivery whose handler runs, in `task`.
    var running: DeliveryID?
    /// The delivery that was cancelled last; it may not have been started then.
    var cancelled: (delivery: DeliveryID, cause: CancelCause)?
    /// Why the last redriven entry failed.
    var redriveFailure: (entry: UInt64, attempt: AttemptRecord)?

    /// The same batch as the one whose attempts are on record, or a new one?
    mutating func follow(_ extent: BatchExtent, _ key: PartitionKeyHash?) {
      guard historyExtent?.first != extent.first || historyExtent?.count != extent.count || historyKey != key else {
        return
      }
      if historyKey != key { history.removeAll() }
      history.begin(at: extent.first)
      historyKey = key
      historyExtent = extent
      requestID = ""
    }

    /// The id of the batch that was delivered last, from its first failure on.
    mutating func takeRequestID() -> String {
      if requestID.isEmpty {
        let former = history.last.flatMap { attempt in
          historyExtent.flatMap { attempt.isOf(first: $0.first, count: $0.count) ? attempt.requestID : nil }
        }
        requestID = former ?? RequestID.make()
      }
      return requestID
    }

    func cause(of delivery: DeliveryID) -> CancelCause? { cancelled?.delivery == delivery ? cancelled?.cause : nil }
  }

  /// Why a handler is told to end.
  enum CancelCause: Sendable {
    /// Its time is over: whatever it answers, it timed out.
    case deadline
    /// An operator gave up its records: what it answers counts.
    case skip
    /// The poller stops: success counts, and a failure leaves no trace.
    case stop
  }

  init(
    id: LaneID, place: LanePlace, shardCreatedAtSeconds: UInt64, mapping: MappingRunner,
    history: AttemptHistory, failing: BatchExtent?, hashKeys: HashKeyRange,
    tracker: RedeliveryTracker, parkedHistories: ParkedHistories? = nil
  ) {
    self.parkedHistories = parkedHistories
    self.id = id
    self.place = place
    self.shardCreatedAtSeconds = shardCreatedAtSeconds
    self.mapping = mapping
    self.tableLane = TableLane(
      shard: place.shard.shard, slot: UInt8(place.slot), hashKeys: hashKeys)
    var state = State(
      handling: mapping.handling.withLock { $0 }, history: history, historyExtent: failing, tracker: tracker)
    state.buffer.selection = place.selection(mapping.makeSelection)
    state.buffer.origin = mapping.origin(
      of: place.shard.shard, createdAtSeconds: shardCreatedAtSeconds, attempt: 0)
    self.state = Mutex(state)
  }

  var shard: ShardAddress { place.shard }

  /// From the next delivery on, batches are handed over like this.
  func change(_ handling: Handling) {
    state.withLock { $0.handling = handling }
    for track in tracks.withLock(\.self) { track.change(handling) }
  }

  /// The lane will not be used again: lets go of the memory of what it had read.
  func retire() {
    state.withLock { $0.buffer = LaneBuffer() }
    for track in tracks.withLock(\.self) { track.retire() }
  }

  /// Reads what the lane asks for.
  func read(_ request: ReadRequest) -> ReadAnswer {
    let room: FilterExamples.Room = mapping.makeSelection == nil ? [] : mapping.filterExamples.room
    let (answer, counts, examples) = state.withLock { state in
      state.buffer.exampleRoom = room
      if let keys = mapping.settledKeys { state.buffer.view = SettledView(keys: keys, layers: state.writes.layers) }
      let answer = mapping.source.read(shard, request, into: &state.buffer)
      if state.buffer.selection == nil, request.ranges.isEmpty, case .records(let result) = answer,
        request.purpose == .deliver
      {
        state.buffer.countAll(from: result.extent.first, to: result.extent.end)
      }
      return (answer, state.buffer.takeCounts(), state.buffer.takeExamples())
    }
    if counts.polled > 0 {
      mapping.metrics.polled.increment(by: counts.polled)
      if counts.filteredOut > 0 { mapping.metrics.filteredOut.increment(by: counts.filteredOut) }
      if counts.notJSON > 0 { mapping.metrics.filteredOutNotJSON.increment(by: counts.notJSON) }
      if counts.done > 0 { mapping.metrics.alreadyDone.increment(by: counts.done) }
      if counts.undecided > 0 { mapping.metrics.filterUndecided.increment(by: counts.undecided) }
    }
    if !examples.isEmpty { mapping.filterExamples.add(examples) }
    return answer
  }

  /// Starts the task that works for this lane from now on.
  ///
  /// Not made under the lock: the task would begin on another thread with waiting for it, which costs as much as the
  /// rest of the way from a commit to the handler. So it may run before it is noted, and be over by then; a delivery
  /// that was cancelled meanwhile is ended by the note.
  ///
  /// `atOnce`: on this thread, up to where it first suspends. Before that nobody can cancel it.
  func start(atOnce isAtOnce: Bool = false, _ body: @escaping @Sendable () async -> Void) {
    let number = state.withLock { state in
      state.task = nil
      state.taskCount += 1
      return state.taskCount
    }
    let task = isAtOnce ? Task.immediate(operation: body) : Task(operation: body)
    let isCancelled = state.withLock { state in
      guard state.taskCount == number else { return false }
      state.task = task
      return state.running.map { state.cause(of: $0) != nil } ?? false
    }
    if isCancelled { task.cancel() }
  }

  /// Ends the handler of this delivery: the one that runs, or the one that is about to.
  func cancel(_ delivery: DeliveryID, because cause: CancelCause) {
    let task = state.withLock { state in
      state.cancelled = (delivery, cause)
      return state.running == delivery ? state.task : nil
    }
    task?.cancel()
  }

  /// Hands the records to the handler and waits for its end. The handler runs in the task of the lane. If `isSpent`, the
  /// delivery was cancelled and this task with it, or the cancellation is still on its way to it: what comes next needs
  /// a new task.
  func deliver(
    _ delivery: Delivery, clock: @Sendable () -> Now
  ) async -> (answer: DeliveryAnswer, isSpent: Bool) {
    let begun = clock()
    if case .failureEntry(let entry) = delivery.source, isDone(entry, delivery, at: begun.wall) {
      return (.succeeded, isSpent: state.withLock { $0.cause(of: delivery.id) != nil })
    }
    guard let (invocation, handling) = invocation(for: delivery) else {
      let failure = HandlerFailure(
        kind: .unavailable, type: "RecordsUnavailable", message: "The records could not be read.")
      let rule = rule(for: failure, of: delivery)
      note(failure, rule, of: delivery, begun: begun, ended: begun)
      return (.failed(.unavailable, rule: rule), isSpent: state.withLock { $0.cause(of: delivery.id) != nil })
    }
    if mapping.keepsWrites, mapping.unstoredWrites.isFull {
      return throttled(delivery, .tablesBehind, begun: begun)
    }
    if let obstacle = obstacle(to: invocation, at: begun.wall) {
      return throttled(delivery, obstacle, begun: begun)
    }
    mapping.metrics.willInvoke(age: delivery.extent.lastArrival.age(at: begun.wall))
    let (result, scope) = await result(of: invocation, by: handling)
    let cause = state.withLock { state in
      state.running = nil
      return state.cause(of: delivery.id)
    }
    let ended = clock()
    var verdict = cause == .deadline ? .failure(.timedOut(handling)) : verdict(on: result, invocation)
    if let scope, case .success(let answer) = verdict { verdict = offer(scope, answer, of: delivery) }
    if mapping.settledKeys != nil, case .success(let answer) = verdict {
      verdict = offerKeys(of: invocation, result, answer, of: delivery, at: ended.wall)
    }
    mapping.metrics.didInvoke(
      records: invocation.count, nanoseconds: ended.monotonic.nanoseconds - begun.monotonic.nanoseconds, of: verdict)
    switch verdict {
    case .success(let plain):
      mapping.lastResult.note(.succeeded)
      if let shadow = mapping.shadow, delivery.source == .shard {
        shadow.note(records: invocation.count, failed: plain.failedRecords(of: invocation.count))
        return (plain, isSpent: cause != nil)
      }
      let answer = named(plain, of: delivery, in: invocation)
      // Of one that succeeded as a whole there is nothing to know.
      if answer != .succeeded { noteEnd(of: delivery, answer) }
      if case .recordFailed(let failed) = answer, cause != .stop {
        note(failed, of: delivery, begun: begun, ended: ended)
      }
      settle(answer, of: delivery, begun: begun, ended: ended)
      switch answer {
      case .failed, .failedAmong, .returnedPart:
        if case .failureEntry = delivery.source { note(.partial, nil, of: delivery, begun: begun, ended: ended) }
      case .succeeded, .recordFailed, .returned, .faulted: break
      }
      return (answer, isSpent: cause != nil)
    case .failure(let given):
      let failure = cause == .skip ? given.asStopped : given
      noteEnd(of: delivery, .failed(failure.kind))
      let rule = rule(for: failure, of: delivery)
      if cause != .stop {
        mapping.lastResult.note(LastResult(after: failure.kind))
        note(failure, rule, of: delivery, begun: begun, ended: ended, onlyKey: onlyKey(of: invocation, delivery))
      }
      return (.failed(failure.kind, rule: rule), isSpent: cause != nil)
    }
  }

  // MARK: - Writes of handlers

  /// A handler that keeps tables, and its scope for the batch; `nil` if this one keeps none.
  func writing(_ batch: RecordBatch, by handling: Handling) -> (any TransactionalBatchHandler, TableScope)? {
    guard mapping.isTransactional, let handler = handling.handler as? any TransactionalBatchHandler else { return nil }
    let scope = TableScope(
      tables: mapping.source.tables, lane: tableLane, earlier: state.withLock { $0.writes.layers },
      recordCount: batch.count)
    return (handler, scope)
  }

  /// The handler is not called, for want of room for what it would write.
  private func throttled(
    _ delivery: Delivery, _ failure: HandlerFailure, begun: Now
  ) -> (answer: DeliveryAnswer, isSpent: Bool) {
    let cause = state.withLock { state in
      state.running = nil
      return state.cause(of: delivery.id)
    }
    noteEnd(of: delivery, .failed(failure.kind))
    let rule = rule(for: failure, of: delivery)
    note(failure, rule, of: delivery, begun: begun, ended: begun)
    return (.failed(failure.kind, rule: rule), isSpent: cause != nil)
  }

  /// What the handler wrote for the records that are done waits for the core's word.
  private func offer(
    _ scope: TableScope, _ answer: DeliveryAnswer, of delivery: Delivery
  ) -> Result<DeliveryAnswer, HandlerFailure> {
    var scope = scope
    let position: Int? = if case .failed(at: _, let position) = answer { position } else { nil }
    guard let writes = scope.takeWrites(ofFirst: position) else {
      return .failure(
        HandlerFailure(
          kind: .invalidResponse, type: "UnmarkedWrites",
          message: "The handler has written, and named a record that it had not begun with begin(at:)."))
    }
    var effects = LaneEffects(tableWrites: writes)
    if case .failureEntry(let entry) = delivery.source { effects.settledFailures = [entry] }
    offer(effects, of: delivery.id)
    return .success(answer)
  }

  /// What a delivery wrote waits for the core's word.
  func offer(_ effects: LaneEffects, of delivery: DeliveryID) {
    state.withLock { $0.writes.offer(effects, of: delivery) }
  }

  /// What is on its way to the store, the newest first.
  var writeLayers: [TableWrites] { state.withLock { $0.writes.layers } }

  /// The records that are done within the batch that was read last.
  var settledRecords: [RecordIndex] { mapping.settledKeys == nil ? [] : state.withLock { $0.buffer.settled } }

  /// The core says that the delivery counts. In the order of its steps.
  func keepWrites(of delivery: DeliveryID) {
    mapping.unstoredWrites.add(state.withLock { $0.writes.keep(delivery) })
  }

  /// The core orders progress: what is kept so far goes with it. In the order of its steps.
  func orderWrites() {
    guard mapping.keepsWrites else { return }
    state.withLock { $0.writes.order() }
  }

  /// What goes with the progress that was ordered last.
  var orderedWrites: LaneEffects {
    mapping.keepsWrites ? state.withLock { $0.writes.ordered } : LaneEffects()
  }

  /// The progress ordered last is stored, or was refused.
  func endWrites(isStored: Bool) {
    guard mapping.keepsWrites else { return }
    mapping.unstoredWrites.add(-state.withLock { $0.writes.end(isStored: isStored) })
  }

  /// The records to deliver. From here until `running` is cleared, cancelling the delivery cancels the task.
  private func invocation(for delivery: Delivery) -> (Invocation, Handling)? {
    var origin = mapping.origin(of: shard.shard, createdAtSeconds: shardCreatedAtSeconds, attempt: delivery.attempt)
    switch delivery.source {
    case .shard, .windowEnd:
      let (found, isCancelled) = state.withLock { state -> ((Invocation, Handling)?, Bool) in
        state.follow(delivery.extent, delivery.key)
        if state.handling.handler.usesRequestIDs { origin.requestID = state.takeRequestID() }
        let isFinal = delivery.source == .windowEnd
        guard isFinal || state.buffer.run != nil else { return (nil, false) }
        let batch = isFinal ? nil : state.buffer.batch(from: origin)
        if let batch, let own = state.handling.handler.requestID(of: batch) { state.requestID = own }
        state.running = delivery.id
        return (
          Invocation(marked(batch, delivery, &state), of: delivery, from: origin).map { ($0, state.handling) },
          state.cause(of: delivery.id) != nil
        )
      }
      if isCancelled { withUnsafeCurrentTask { $0?.cancel() } }
      return found
    case .failureEntry(let entry):
      do {
        guard let stored = try mapping.source.records(ofFailureEntry: entry), stored.count > 0,
          let run = try unsettled(stored, from: origin)
        else { return nil }
        let (handling, batch, isCancelled) = state.withLock { state in
          state.running = delivery.id
          state.redriveRequestID = state.handling.handler.usesRequestIDs ? RequestID.make() : ""
          origin.requestID = state.redriveRequestID
          let all = RecordBatch(origin: origin, run: run, range: 0..<run.count)
          if let own = state.handling.handler.requestID(of: all) { state.redriveRequestID = own }
          return (state.handling, marked(all, delivery, &state), state.cause(of: delivery.id) != nil)
        }
        if isCancelled { withUnsafeCurrentTask { $0?.cancel() } }
        return batch.map { (.batch($0), handling) }
      } catch {
        mapping.logger.error("failure entry could not be read", metadata: ["entry": "\(entry)", "error": "\(error)"])
        return nil
      }
    }
  }

  /// Some of the records that may have been in flight when a worker ended have not come again yet.
  var isOwing: Bool { state.withLock { $0.tracker.isOwing } }

  /// Notes the records of the batch that were delivered before, if any were, with the invocation they come to; and says so
  /// on the batch, if handlers are told.
  private func marked(_ batch: RecordBatch?, _ delivery: Delivery, _ state: inout State) -> RecordBatch? {
    state.noted = nil
    guard var batch, let log = mapping.redeliveries else { return batch }
    let records = batch
    let redelivery = state.tracker.begin(delivery, count: records.count) { end in
      (0..<records.count).count { records.index(at: $0) < end }
    }
    guard let redelivery else { return batch }
    let requestID: String
    if case .failureEntry = delivery.source {
      if state.redriveRequestID.isEmpty { state.redriveRequestID = RequestID.make() }
      requestID = state.redriveRequestID
    } else {
      requestID = state.takeRequestID()
    }
    state.noted = log.note(
      RedeliveryEntry(
        at: log.now, shard: shard.shard, slot: place.slot, first: batch.firstIndex,
        last: batch.index(at: redelivery.count - 1), redelivery: redelivery, attempt: delivery.attempt,
        requestID: requestID))
    if mapping.marksRedeliveries { batch.origin.redelivery = redelivery }
    return batch
  }

  /// The delivery was not one that succeeded as a whole. If the handler was not called at all, nothing was delivered again.
  private func noteEnd(of delivery: Delivery, _ answer: DeliveryAnswer) {
    state.withLock { state in
      let wasCalled = state.tracker.end(delivery, with: answer)
      if !wasCalled, let noted = state.noted { mapping.redeliveries?.forget(noted) }
      state.noted = nil
    }
  }

  /// The retry rule that the failure falls under. A redrive is one attempt, whatever the rules say.
  private func rule(for failure: HandlerFailure, of delivery: Delivery) -> RetryRuleID? {
    guard let rules = mapping.retryRules else { return nil }
    if case .failureEntry = delivery.source { return nil }
    return rules.rule(for: failure)
  }
}

extension MappingMetrics {
  fileprivate func didInvoke(
    records: Int, nanoseconds: Int64, of verdict: Result<DeliveryAnswer, HandlerFailure>
  ) {
    var (failure, failedRecords): (FailureKind?, Int) = (nil, 0)
    switch verdict {
    case .success(let answer): failedRecords = answer.failedRecords(of: records)
    case .failure(let error): (failure, failedRecords) = (error.kind, records)
    }
    didInvoke(records: records, nanoseconds: nanoseconds, failure: failure, failedRecords: failedRecords)
  }
}

extension DeliveryAnswer {
  /// Of so many records those that are not done, from the first on that is reported.
  fileprivate func failedRecords(of records: Int) -> Int {
    switch self {
    case .failed(at: _, let position), .returnedPart(_, failedAt: _, let position): records - position
    case .failedAmong(at: _, position: _, let remaining): remaining
    case .succeeded, .returned, .recordFailed: 0
    case .faulted: records
    }
  }
}
