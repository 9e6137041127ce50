import CoreMetrics

/// The metrics of one event source mapping, under the names that AWS gives them.
struct MappingMetrics: Sendable {
  /// Records read from the shards.
  let polled: Counter
  /// Records that the filter held back.
  let filteredOut: Counter
  /// Those of them that could not be matched because their data is not JSON. Our own: AWS does not tell.
  let filteredOutNotJSON: Counter
  /// Records handed to the handler. Retries count again.
  let invokedRecords: Counter
  /// Records of failed deliveries, and of those reported as failed.
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
  let invocations: Counter
  let errors: Counter
  let duration: Timer
  /// The age of a batch's last record when it was handed over, in milliseconds.
  let iteratorAge: Recorder

  init(mapping: String) {
    let dimensions = [("mapping", mapping)]
    polled = Counter(label: "PolledEventCount", dimensions: dimensions)
    filteredOut = Counter(label: "FilteredOutEventCount", dimensions: dimensions)
    filteredOutNotJSON = Counter(label: "FilteredOutNotJSONEventCount", dimensions: dimensions)
    invokedRecords = Counter(label: "InvokedEventCount", dimensions: dimensions)
    failedRecords = Counter(label: "FailedInvokeEventCount", dimensions: dimensions)
    deliveredToDestination = Counter(label: "OnFailureDestinationDeliveredEventCount", dimensions: dimensions)
    dropped = Counter(label: "DroppedEventCount", dimensions: dimensions)
    destinationFailures = Counter(label: "DestinationDeliveryFailures", dimensions: dimensions)
    lost = Counter(label: "LostEventCount", dimensions: dimensions)
    invocations = Counter(label: "Invocations", dimensions: dimensions)
    errors = Counter(label: "Errors", dimensions: dimensions)
    duration = Timer(label: "Duration", dimensions: dimensions)
    iteratorAge = Recorder(label: "IteratorAge", dimensions: dimensions)
  }

  func willInvoke(records: Int, age milliseconds: Int64) {
    invocations.increment()
    invokedRecords.increment(by: records)
    iteratorAge.record(milliseconds)
  }

  func didInvoke(nanoseconds: Int64) {
    duration.recordNanoseconds(nanoseconds)
  }

  func didFail(records: Int) {
    errors.increment()
    failedRecords.increment(by: records)
  }
}
