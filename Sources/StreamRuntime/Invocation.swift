import ShardCore
import StreamModel
import StreamStore

/// What a handler is called with: a batch, or a batch and the state of its tumbling window.
enum Invocation {
  case batch(RecordBatch)
  case windowed(WindowedBatch)

  /// `nil` if there is nothing to call it with.
  init?(_ batch: RecordBatch?, of delivery: Delivery, from origin: BatchOrigin) {
    if let window = delivery.window {
      self = .windowed(
        WindowedBatch(
          origin: origin, records: batch, window: window.bounds, state: window.state,
          isTerminatedEarly: window.isTerminatedEarly))
    } else if let batch {
      self = .batch(batch)
    } else {
      return nil
    }
  }

  /// Records.
  var count: Int {
    switch self {
    case .batch(let batch): batch.count
    case .windowed(let batch): batch.records?.count ?? 0
    }
  }
}

/// What it gave.
enum InvocationOutcome {
  case plain(HandlerOutcome)
  case windowed(WindowedOutcome)
}

extension LaneRunner {
  /// What the handler said, and what it wrote if it keeps tables.
  func result(
    of invocation: Invocation, by handling: Handling
  ) async -> (Result<InvocationOutcome, any Error>, TableScope?) {
    do {
      switch invocation {
      case .batch(let batch):
        guard let (handler, fresh) = writing(batch, by: handling) else {
          return (.success(.plain(try await handling.handler.handle(batch))), nil)
        }
        var scope = fresh
        let outcome = try await handler.handle(batch, in: &scope)
        return (.success(.plain(outcome)), scope)
      case .windowed(let batch):
        guard let handler = handling.windowHandler else { return (.failure(HandlerFailure.takesNoWindows), nil) }
        return (.success(.windowed(try await handler.handle(batch))), nil)
      }
    } catch {
      return (.failure(error), nil)
    }
  }

  func verdict(
    on result: Result<InvocationOutcome, any Error>, _ invocation: Invocation
  ) -> Result<DeliveryAnswer, HandlerFailure> {
    switch (result, invocation) {
    case (.success(.plain(.succeeded)), _):
      return .success(.succeeded)
    case (.success(.plain(.failed(let number))), .batch(let batch)):
      return place(of: number, in: batch).map { .failed(at: number.index, position: $0) }
    case (.success(.plain(.failedRecords(let numbers))), .batch(let batch)):
      return failed(numbers, in: batch)
    case (.success(.windowed(let outcome)), .windowed(let batch)):
      guard let number = outcome.failedAt else { return .success(.returned(outcome.state)) }
      return place(of: number, in: batch.records).map {
        .returnedPart(outcome.state, failedAt: number.index, position: $0)
      }
    case (.success, _):
      preconditionFailure("an invocation has an outcome of its own kind")
    case (.failure(let failure as HandlerFailure), _):
      return .failure(failure)
    case (.failure(TableError.unavailable(let reason)), _):
      return .failure(HandlerFailure(kind: .unavailable, type: "TablesUnavailable", message: reason))
    case (.failure(let error), _):
      return .failure(
        HandlerFailure(kind: .error, type: String(describing: type(of: error)), message: String(describing: error)))
    }
  }

  /// The records that failed, and no other. Where nobody remembers the others the lowest counts, as on AWS.
  private func failed(_ numbers: [SequenceNumber], in batch: RecordBatch) -> Result<DeliveryAnswer, HandlerFailure> {
    guard let lowest = numbers.min() else { return .success(.succeeded) }
    guard mapping.settledKeys != nil else {
      return place(of: lowest, in: batch).map { .failed(at: lowest.index, position: $0) }
    }
    var positions: Set<Int> = []
    for number in numbers {
      switch position(of: number, in: batch) {
      case .success(let position): positions.insert(position)
      case .failure(let failure): return .failure(failure)
      }
    }
    guard positions.count < batch.count else { return .failure(.firstFailed) }
    return .success(
      .failedAmong(at: lowest.index, position: positions.min() ?? 0, remaining: positions.count))
  }

  /// In a lane that blocks by key, what the handler says of one record is said of its key.
  func named(_ answer: DeliveryAnswer, of delivery: Delivery, in invocation: Invocation) -> DeliveryAnswer {
    guard parkedHistories != nil, delivery.source == .shard, case .batch(let batch) = invocation,
      case .failed(at: let index, position: let position) = answer
    else { return answer }
    return .recordFailed(
      FailedRecord(
        index: index, position: position, key: PartitionKeyHash(batch[position].partitionKeyHash),
        arrival: batch.arrival(at: position)))
  }

  /// Notes what an answer leaves behind: the records that are done have no story, and of one that was named it is one.
  func settle(_ answer: DeliveryAnswer, of delivery: Delivery, begun: Now, ended: Now) {
    if case .failureEntry = delivery.source { return }
    switch answer {
    case .succeeded, .returned: settle(delivery.extent.count, named: nil)
    case .failed(at: _, let position), .failedAmong(at: _, let position, remaining: _),
      .returnedPart(_, failedAt: _, let position):
      settle(position, named: named(at: position, of: delivery, begun: begun, ended: ended))
    case .recordFailed(let failed):
      settle(failed.position, named: named(at: failed.position, of: delivery, begun: begun, ended: ended))
    case .faulted: break
    }
  }

  private func named(at position: Int, of delivery: Delivery, begun: Now, ended: Now) -> AttemptRecord {
    AttemptRecord(
      startedAt: begun.wall,
      durationMilliseconds: (ended.monotonic.nanoseconds - begun.monotonic.nanoseconds) / 1_000_000,
      kind: .reportedNoProgress, type: "BatchItemFailure",
      message: "The handler reported the record at position \(position) as failed; those before it are done.",
      trace: [],
      requestID: "",
      batch: AttemptedBatch(delivery.extent, position: position))
  }

  /// The key of a batch of one record, in a lane that blocks by key.
  func onlyKey(of invocation: Invocation, _ delivery: Delivery) -> PartitionKeyHash? {
    guard parkedHistories != nil, case .batch(let batch) = invocation, batch.count == 1, delivery.source == .shard
    else { return nil }
    return PartitionKeyHash(batch[0].partitionKeyHash)
  }

  /// Where the record that the handler has named stands in the batch: 1 or more, where a failure does not block its key.
  private func place(of number: SequenceNumber, in batch: RecordBatch?) -> Result<Int, HandlerFailure> {
    switch position(of: number, in: batch) {
    case .failure(let failure): return .failure(failure)
    case .success(let position):
      guard position > 0 || (parkedHistories != nil && (batch?.count ?? 0) > 1) else { return .failure(.firstFailed) }
      return .success(position)
    }
  }

  private func position(of number: SequenceNumber, in batch: RecordBatch?) -> Result<Int, HandlerFailure> {
    let isOurs = number.shard == shard.shard && number.shardCreatedAtSeconds == shardCreatedAtSeconds
    guard isOurs, let position = batch?.position(of: number.index) else {
      return .failure(
        HandlerFailure(
          kind: .invalidResponse, type: "UnknownSequenceNumber",
          message: "The handler named \(number), which is not in the batch."))
    }
    return .success(position)
  }
}

extension HandlerFailure {
  fileprivate static let firstFailed = HandlerFailure(
    kind: .reportedNoProgress, type: "BatchItemFailure",
    message: "The handler reported the first record of the batch as failed.")

  fileprivate static let takesNoWindows = HandlerFailure(
    kind: .unavailable, type: "TakesNoWindows",
    message: "The mapping has a tumbling window to end, but its handler takes no windows: give it one that does, or "
      + "skip the final delivery; its state is kept in the failures.")
}
