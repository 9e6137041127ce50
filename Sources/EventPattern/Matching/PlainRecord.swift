/// A record of which every part is given: for tests, and for events that come from somewhere else than a store.
public struct PlainRecord: FilterableRecord, Sendable {
  private let bytes: [UInt8]
  private let fields: [KinesisField: String]

  /// - Parameter fields: the record's own; `approximateArrivalTimestamp` is a number as JSON writes it. One that is not
  ///   given is missing.
  public init(body: [UInt8], fields: [KinesisField: String] = [:]) {
    self.bytes = body
    self.fields = fields
  }

  public var body: RawSpan {
    @_lifetime(borrow self) get { unsafe bytes.span.bytes }
  }

  public func write(_ field: KinesisField, to value: inout FieldValue) {
    guard let text = fields[field] else { return }
    if field == .approximateArrivalTimestamp { value.set(number: text) } else { value.append(text) }
  }
}
