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
  /// Records whose failure entry is stored.
  let deliveredToDestination: Counter
  /// Records that left without a destination: lost to retention before the lane came to them.
  let dropped: Counter
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
