import CoreMetrics
import Locks
import Logging
import ShardCore
import StreamModel
import StreamStore

/// Takes the failure entries of one mapping from the store to its destination, as its ``ShardCore/Outbox`` says.
///
/// The outbox is a value behind a lock, stepped by whoever learns of something: the writer thread with an entry or a
/// note that is durable, the task of a delivery with its answer, the timer. What a step orders is done outside the lock.
final class FailureCourier: Sendable {
  let plan: DestinationPlan
  private let destination: any FailureDestination
  private let store: StreamStore
  private let mapping: MappingNumber
  private let metrics: MappingMetrics
  private let clock: @Sendable () -> Now
  private let logger: Logger
  private let timer = SharedTimer()
  private let state: Mutex<State>

  private struct State {
    var outbox: Outbox
    var random: SplitMix64
    /// The deliveries under way.
    var tasks: [UInt64: Task<Void, Never>] = [:]
    /// What the attempt came to, until it is noted.
    var attempts: [UInt64: Attempt] = [:]
    var isStopping = false
    var isDrained = false
    var drainWaiters: [CheckedContinuation<Void, Never>] = []
  }

  /// An attempt that has an answer.
  private struct Attempt {
    var createdAt: WallTime
    var records: Int
    /// What the entry said of its delivery when it was read.
    var former: FailureDelivery?
    var detail: String
  }

  init(
    _ plan: DestinationPlan, of mapping: MappingInfo, _ stream: StreamInfo, in store: StreamStore,
    metrics: MappingMetrics, seed: UInt64,
    clock: @escaping @Sendable () -> Now, logger: Logger
  ) {
    self.plan = plan
    self.mapping = mapping.number
    destination = plan.make(mapping, stream)
    self.store = store
    self.metrics = metrics
    self.clock = clock
    self.logger = logger
    state = Mutex(State(outbox: Outbox(policy: plan.policy), random: SplitMix64(seed: seed)))
    timer.start(now: { clock().monotonic.nanoseconds }) { [weak self] in self?.post(.timerFired) }
    // What was left from the last time.
    post(.timerFired)
  }

  /// An entry was stored, or is to be delivered once more.
  func entryStored(_ number: UInt64) { post(.entryStored(number)) }

  func clockWasSet() { timer.lookAgain() }

  /// Starts nothing new and returns when nothing is on its way. With `isStopping` what is on its way is cut short.
  func drain(isStopping: Bool) async {
    if isStopping {
      let tasks = state.withLock { state in
        state.isStopping = true
        return Array(state.tasks.values)
      }
      for task in tasks { task.cancel() }
    }
    post(.drainRequested)
    await withCheckedContinuation { continuation in
      let isDrained = state.withLock { state in
        if !state.isDrained { state.drainWaiters.append(continuation) }
        return state.isDrained
      }
      if isDrained { continuation.resume() }
    }
  }

  /// Ends the timer's thread. Nothing may be posted afterwards.
  func close() { timer.stop() }

  // MARK: - Stepping

  private func post(_ event: OutboxEvent) {
    var effects: [OutboxEffect] = []
    state.withLock { state in
      state.outbox.step(event, at: clock(), random: &state.random, effects: &effects)
      for effect in effects {
        switch effect {
        // Inside the lock, so that moments are armed in the order of the steps.
        case .armTimer(let moment): timer.arm(at: moment.nanoseconds)
        case .drained:
          state.isDrained = true
          for waiter in state.drainWaiters { waiter.resume() }
          state.drainWaiters.removeAll()
        case .load, .deliver, .note: continue
        }
      }
    }
    for effect in effects {
      switch effect {
      case .load(let number, let limit): load(after: number, limit: limit)
      case .deliver(let number, let attempt): start(number, attempt: attempt)
      case .note(let number, let outcome): note(outcome, of: number)
      case .armTimer, .drained: continue
      }
    }
  }

  /// In a task: whoever posted may be the writer, which has no time to read.
  private func load(after number: UInt64, limit: Int) {
    Task { [self] in
      do {
        let found = try store.pendingDeliveries(of: mapping, after: number, limit: limit)
        let entries = found.map { OutboxEntry(number: $0.number, attempts: $0.attempts, retryAt: $0.retryAt) }
        post(.loaded(entries, isEnd: found.count < limit))
      } catch {
        logger.error("the failure entries that wait could not be read", metadata: ["error": "\(error)"])
        post(.loadRefused)
      }
    }
  }

  // MARK: - Delivering

  private func start(_ number: UInt64, attempt: Int) {
    let task = Task { [self] in
      let verdict = await deliver(number, attempt: attempt)
      state.withLock { _ = $0.tasks.removeValue(forKey: number) }
      post(.answered(number, verdict))
    }
    let isStopping = state.withLock { state in
      // It may be over already; then its answer finds no entry that waits for one, and nobody looks at the task.
      if state.outbox.isDelivering(number) { state.tasks[number] = task }
      return state.isStopping
    }
    if isStopping { task.cancel() }
  }

  private func deliver(_ number: UInt64, attempt: Int) async -> OutboxVerdict {
    let entry: FailureEntry
    do {
      // Where the count is another one somebody has asked for the entry to be delivered anew: the outbox is about to
      // hear of it, and begins again.
      guard let found = try store.failure(number), let delivery = found.summary.delivery, delivery.state == .pending,
        delivery.attempts == attempt - 1
      else { return .notAttempted }
      entry = found
    } catch {
      logger.critical(
        "a failure entry cannot be read and is not delivered; it stays until it is purged",
        metadata: ["entry": "\(number)", "error": "\(error)"])
      return .notAttempted
    }
    var result = Attempt(
      createdAt: entry.summary.createdAt, records: entry.summary.count, former: entry.summary.delivery, detail: "")
    do {
      result.detail = try await destination.accept(entry)
      state.withLock { $0.attempts[number] = result }
      return .accepted
    } catch {
      // A stop is nobody's failure.
      if state.withLock({ $0.isStopping }) { return .notAttempted }
      result.detail = "\(error)".cut(toUTF8: AttemptHistory.messageByteLimit)
      state.withLock { $0.attempts[number] = result }
      logger.warning(
        "a failure entry was not delivered",
        metadata: [
          "entry": "\(number)", "attempt": "\(attempt)", "destination": "\(plan.name)", "error": "\(result.detail)",
        ])
      return .failed(retryAfterMilliseconds: (error as? DestinationFailure)?.retryAfterMilliseconds)
    }
  }

  // MARK: - Noting

  private func note(_ outcome: OutboxOutcome, of number: UInt64) {
    guard let attempt = state.withLock({ $0.attempts[number] }) else {
      preconditionFailure("what is noted was attempted")
    }
    let delivery: FailureDelivery
    switch outcome {
    case .delivered:
      delivery = FailureDelivery(state: .delivered, attempts: 0, at: clock().wall, detail: attempt.detail)
    case .retry(let attempts, let at):
      delivery = FailureDelivery(state: .pending, attempts: attempts, at: at, detail: attempt.detail)
    case .undeliverable(let attempts):
      delivery = FailureDelivery(state: .undeliverable, attempts: attempts, at: clock().wall, detail: attempt.detail)
    }
    let note = DeliveryNote(
      number: number, createdAt: attempt.createdAt, delivery: delivery,
      deletes: outcome == .delivered && !plan.keepsDelivered, former: attempt.former)
    store.submit(.noteDelivery(note)) { [self] result in
      switch result {
      case .success:
        count(outcome, number, attempt)
        state.withLock { _ = $0.attempts.removeValue(forKey: number) }
        post(.noted(number))
      case .failure(let error):
        logger.error(
          "what became of a failure entry's delivery could not be noted",
          metadata: ["entry": "\(number)", "error": "\(error)"])
        post(.noteRefused(number))
      }
    }
  }

  private func count(_ outcome: OutboxOutcome, _ number: UInt64, _ attempt: Attempt) {
    switch outcome {
    case .retry: return
    case .delivered:
      metrics.deliveredToDestination.increment(by: attempt.records)
      logger.notice(
        "a failure entry was delivered", metadata: ["entry": "\(number)", "place": "\(attempt.detail)"])
    case .undeliverable(let attempts):
      metrics.destinationFailures.increment()
      metrics.dropped.increment(by: attempt.records)
      logger.error(
        "a failure entry is undeliverable; it stays in the store until it is redelivered or purged",
        metadata: [
          "entry": "\(number)", "attempts": "\(attempts)", "destination": "\(plan.name)",
          "error": "\(attempt.detail)",
        ])
    }
  }
}
