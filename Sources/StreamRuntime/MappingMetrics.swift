import CoreMetrics
import StreamModel

/// The metrics of one event source mapping, under the names that AWS gives them.
struct MappingMetrics: Sendable {
  /// Records read from the shards.
  let polled: Counter
  /// Records that the filter held back.
  let filteredOut: Counter
  /// Those of them that could not be matched because their data is not JSON. Our own: AWS does not tell.
  let filteredOutNotJSON: Counter
  /// Records that were let through because not all ways in which their arrays combine were tried. Our own.
  let filterUndecided: Counter
  /// Records that were passed because they are done, of which the mapping remembers a key. Our own.
  let alreadyDone: Counter
  /// Records handed to the handler. Retries count again.
  let invokedRecords: Counter
  /// Records of failed deliveries. Of one that succeeded in part, those from the first that is reported as failed.
  let failedRecords: Counter
  /// Records whose failure entry has come to the mapping's destination: the store, unless it has another.
  let deliveredToDestination: Counter
  /// Records whose failure entry could not be delivered. It stays in the store.
  let dropped: Counter
  /// Failure entries that could not be delivered.
  let destinationFailures: Counter
  /// Records that were gone before the lane came to them: retention had removed them, or they stood in a damaged block
  /// that an operator gave up. Our own: AWS does not tell.
  let lost: Counter
  /// Calls of the handler, whatever became of them.
  let invocations: Counter
  /// Calls that ended in an error of the handler: it raised, its process ended, or it was not done in time.
  let errors: Counter
  /// Deliveries for which there was no capacity. They are no invocations.
  let throttles: Counter
  /// Batches that were not delivered because they come from a loop.
  let recursionsStopped: Counter
  /// Calls that are under way.
  let concurrentExecutions: Meter
  let duration: Timer
  /// The age of a batch's last record when it was handed over, in milliseconds.
  let iteratorAge: Recorder

  /// `countsEvents`: `MetricsConfig` holds `EventCount`. Without it the counters of records are not shown.
  init(mapping: String, countsEvents: Bool = true) {
    let dimensions = [("mapping", mapping)]
    func eventCounter(_ label: String) -> Counter {
      guard countsEvents else {
        return Counter(label: label, dimensions: dimensions, factory: NOOPMetricsHandler.instance)
      }
      return Counter(label: label, dimensions: dimensions)
    }
    polled = eventCounter("PolledEventCount")
    filteredOut = eventCounter("FilteredOutEventCount")
    filteredOutNotJSON = eventCounter("FilteredOutNotJSONEventCount")
    filterUndecided = eventCounter("FilterUndecidedEventCount")
    alreadyDone = eventCounter("AlreadyDoneEventCount")
    invokedRecords = eventCounter("InvokedEventCount")
    failedRecords = eventCounter("FailedInvokeEventCount")
    deliveredToDestination = eventCounter("OnFailureDestinationDeliveredEventCount")
    dropped = eventCounter("DroppedEventCount")
    // These are there always, on AWS too; a loss is never hidden.
    destinationFailures = Counter(label: "DestinationDeliveryFailures", dimensions: dimensions)
    lost = Counter(label: "LostEventCount", dimensions: dimensions)
    invocations = Counter(label: "Invocations", dimensions: dimensions)
    errors = Counter(label: "Errors", dimensions: dimensions)
    throttles = Counter(label: "Throttles", dimensions: dimensions)
    recursionsStopped = Counter(label: "RecursiveInvocationsDropped", dimensions: dimensions)
    concurrentExecutions = Meter(label: "ConcurrentExecutions", dimensions: dimensions)
    duration = Timer(label: "Duration", dimensions: dimensions)
    iteratorAge = Recorder(label: "IteratorAge", dimensions: dimensions)
  }

  func willInvoke(age milliseconds: Int64) {
    concurrentExecutions.increment(by: 1)
    iteratorAge.record(milliseconds)
  }

  /// Records that make an event which is too large for the handler.
  func didNotInvoke(records: Int) { failedRecords.increment(by: records) }

  /// `failure` is `nil` if the handler answered and the answer means something. `failedRecords` are those that are
  /// delivered again or given up.
  func didInvoke(records: Int, nanoseconds: Int64, failure: FailureKind?, failedRecords: Int) {
    concurrentExecutions.decrement(by: 1)
    if failedRecords > 0 { self.failedRecords.increment(by: failedRecords) }
    switch failure {
    case .throttled: return throttles.increment()
    // The handler was not called.
    case .unavailable, .payloadTooLarge: return
    case .error, .timedOut, .exited: errors.increment()
    // The handler itself did not fail: what it answered makes it a failure.
    case .invalidResponse, .reportedNoProgress, nil: break
    }
    invocations.increment()
    invokedRecords.increment(by: records)
    duration.recordNanoseconds(nanoseconds)
  }
}
