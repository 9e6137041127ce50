public import EventPattern
public import StreamModel
public import TableChanges

/// Takes the changes of a table that `FilterCriteria` let through. Patterns are about the whole record of the event, so
/// each is tried on what the handler would get.
public struct ChangeSelection: RecordSelecting {
  private var matcher: EventMatcher
  private let events: ChangeEvents
  /// The record of the event, in memory that is used again for the next.
  private var written: [UInt8] = []

  public init(_ matcher: EventMatcher, _ events: ChangeEvents) {
    self.matcher = matcher
    self.events = events
  }

  public mutating func verdict(on record: borrowing RecordView) -> SelectionVerdict {
    var bytes: [UInt8] = []
    swap(&bytes, &written)
    defer { swap(&bytes, &written) }
    bytes.removeAll(keepingCapacity: true)
    events.append(record.data, record.sequenceNumber, arrival: record.arrival, to: &bytes)
    return SelectionVerdict(matcher.verdict(on: WrittenChange(body: bytes.span.bytes)))
  }
}

private struct WrittenChange: FilterableRecord, ~Escapable {
  let body: RawSpan

  @_lifetime(copy body)
  init(body: RawSpan) {
    self.body = body
  }

  /// A change has no fields but those of its record.
  func write(_ field: KinesisField, to value: inout FieldValue) {}
}
