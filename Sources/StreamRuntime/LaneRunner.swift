import CoreMetrics
import Logging
import ShardCore
import StreamModel
import StreamStore
import Synchronization

/// Carries out the reads and deliveries of one lane.
///
/// The poller orders at most one read and one delivery of a lane at a time, so the buffer has one user at a time; the
/// lock hands it from task to task. Cancelling comes from other threads.
final class LaneRunner: Sendable {
  let id: LaneID
  let shard: ShardAddress
  let shardCreatedAtSeconds: UInt64
  let mapping: MappingRunner

  private let state: Mutex<State>

  private struct State {
    var buffer = LaneBuffer()
    /// The failed deliveries of `historyExtent`.
    var history: AttemptHistory
    var historyExtent: BatchExtent?
    /// Kept while the batch stays the same: retries carry the same id.
    var requestID = ""
    var running: Running?
    /// Why the last redriven entry failed.
    var redriveFailure: AttemptRecord?
    /// The delivery that was cancelled last; it may not have been started then.
    var cancelled: DeliveryID?
  }

  private struct Running {
    var delivery: DeliveryID
    var task: Task<HandlerOutcome, any Error>
  }

  init(
    id: LaneID, shard: ShardAddress, shardCreatedAtSeconds: UInt64, mapping: MappingRunner,
    history: AttemptHistory, failing: BatchExtent?
  ) {
    self.id = id
    self.shard = shard
    self.shardCreatedAtSeconds = shardCreatedAtSeconds
    self.mapping = mapping
    self.state = Mutex(State(history: history, historyExtent: failing))
  }

  /// Reads what the lane asks for.
  func read(_ request: ReadRequest) -> ReadAnswer {
    let answer = state.withLock { state in
      mapping.source.read(shard, request, into: &state.buffer)
    }
    if case .records(let result) = answer, request.purpose == .deliver {
      mapping.metrics.polled.increment(by: result.extent.count)
    }
    return answer
  }

  /// What is known of the failing batch that begins at `first`, in words. Empty if nothing is.
  func history(ofBatchAt first: RecordIndex) -> AttemptHistory {
    state.withLock { $0.historyExtent?.first == first ? $0.history : AttemptHistory() }
  }

  /// The failed attempts of the batch at the head, with the extent they belong to.
  var currentHistory: AttemptHistory { state.withLock { $0.history } }

  /// Ends the handler of this delivery, if it still runs.
  func cancel(_ delivery: DeliveryID) {
    let task = state.withLock { state -> Task<HandlerOutcome, any Error>? in
      state.cancelled = delivery
      return state.running?.delivery == delivery ? state.running?.task : nil
    }
    task?.cancel()
  }

  /// Hands the records to the handler and waits for its end.
  func deliver(_ delivery: Delivery, clock: @Sendable () -> Now) async -> DeliveryAnswer {
    let begun = clock()
    guard let batch = batch(for: delivery) else {
      note(
        HandlerFailure(kind: .unavailable, type: "RecordsUnavailable", message: "The records could not be read."),
        of: delivery, begun: begun, ended: begun)
      return .failed(.unavailable)
    }
    mapping.metrics.willInvoke(records: batch.count, age: delivery.extent.lastArrival.age(at: begun.wall))
    let handler = mapping.handler
    let task = Task { try await handler.handle(batch) }
    let isCancelled = state.withLock { state in
      state.running = Running(delivery: delivery.id, task: task)
      return state.cancelled == delivery.id
    }
    if isCancelled { task.cancel() }
    let result = await task.result
    let wasCancelled = state.withLock { state in
      state.running = nil
      return state.cancelled == delivery.id
    }
    let ended = clock()
    mapping.metrics.didInvoke(nanoseconds: ended.monotonic.nanoseconds - begun.monotonic.nanoseconds)
    let verdict = verdict(on: result, batch: batch, wasCancelled: wasCancelled)
    switch verdict {
    case .success(let answer):
      if case .failed = answer { mapping.metrics.failedRecords.increment(by: batch.count) }
      return answer
    case .failure(let failure):
      mapping.metrics.didFail(records: batch.count)
      note(failure, of: delivery, begun: begun, ended: ended)
      return .failed(failure.kind)
    }
  }

  private func batch(for delivery: Delivery) -> RecordBatch? {
    let origin = BatchOrigin(
      stream: mapping.streamName, shard: shard.shard, shardCreatedAtSeconds: shardCreatedAtSeconds,
      attempt: delivery.attempt)
    switch delivery.source {
    case .shard:
      return state.withLock { state in
        // The same batch as the one whose attempts are on record, or a new one?
        if state.historyExtent?.first != delivery.extent.first || state.historyExtent?.count != delivery.extent.count {
          state.history.removeAll()
          state.historyExtent = delivery.extent
          state.requestID = RequestID.make()
        } else if state.requestID.isEmpty {
          state.requestID = state.history.last?.requestID ?? RequestID.make()
        }
        guard let run = state.buffer.run else { return nil }
        return RecordBatch(origin: origin, run: run, range: state.buffer.range)
      }
    case .failureEntry(let entry):
      do {
        guard let run = try mapping.source.records(ofFailureEntry: entry), run.count > 0 else { return nil }
        return RecordBatch(origin: origin, run: run, range: 0..<run.count)
      } catch {
        mapping.logger.error("failure entry could not be read", metadata: ["entry": "\(entry)", "error": "\(error)"])
        return nil
      }
    }
  }

  private func verdict(
    on result: Result<HandlerOutcome, any Error>, batch: RecordBatch, wasCancelled: Bool
  ) -> Result<DeliveryAnswer, HandlerFailure> {
    if wasCancelled {
      return .failure(
        HandlerFailure(
          kind: .timedOut, type: "Sandbox.Timedout",
          message: "The handler was not done in time (limit \(mapping.policy.handlerTimeoutMilliseconds) ms)."))
    }
    switch result {
    case .success(.succeeded):
      return .success(.succeeded)
    case .success(.failed(let number)):
      let isOurs =
        number.shard == shard.shard && number.shardCreatedAtSeconds == shardCreatedAtSeconds
        && number.index >= batch.firstIndex && number.index <= batch.lastIndex
      guard isOurs else {
        return .failure(
          HandlerFailure(
            kind: .invalidResponse, type: "UnknownSequenceNumber",
            message: "The handler named \(number), which is not in the batch."))
      }
      if number.index == batch.firstIndex {
        return .failure(
          HandlerFailure(
            kind: .reportedNoProgress, type: "BatchItemFailure",
            message: "The handler reported the first record of the batch as failed."))
      }
      return .success(.failed(at: number.index))
    case .failure(let failure as HandlerFailure):
      return .failure(failure)
    case .failure(let error):
      return .failure(
        HandlerFailure(kind: .error, type: String(describing: type(of: error)), message: String(describing: error)))
    }
  }

  private func note(_ failure: HandlerFailure, of delivery: Delivery, begun: Now, ended: Now) {
    let attempt = AttemptRecord(
      startedAt: begun.wall,
      durationMilliseconds: (ended.monotonic.nanoseconds - begun.monotonic.nanoseconds) / 1_000_000,
      kind: failure.kind, type: failure.type, message: failure.message, trace: failure.trace,
      requestID: state.withLock { $0.requestID })
    if case .shard = delivery.source {
      state.withLock { $0.history.append(attempt) }
    } else {
      state.withLock { $0.redriveFailure = attempt }
    }
    mapping.logger.warning(
      "delivery failed",
      metadata: [
        "shard": "\(shard.shard)", "first": "\(delivery.extent.first.rawValue)", "count": "\(delivery.extent.count)",
        "attempt": "\(delivery.attempt)", "kind": "\(failure.kind.name)", "type": "\(failure.type)",
        "message": "\(failure.message)",
      ])
  }

  /// Why the last redriven entry failed, once.
  func takeRedriveFailure() -> AttemptRecord? {
    state.withLock { state in
      defer { state.redriveFailure = nil }
      return state.redriveFailure
    }
  }
}
