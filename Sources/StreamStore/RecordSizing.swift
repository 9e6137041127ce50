/// How large a record is in the event that a handler gets.
///
/// A number alone is the overhead of a Kinesis record: its data counts in base64, its partition key as it is escaped.
public struct RecordSizing: Hashable, Sendable, ExpressibleByIntegerLiteral {
  /// Bytes that each record adds, besides its data and its key.
  public var overhead: Int
  /// The data stands in the event as it is, and the key does not: a change of a table.
  public var takesDataAsItIs: Bool

  public init(overhead: Int, takesDataAsItIs: Bool = false) {
    self.overhead = overhead
    self.takesDataAsItIs = takesDataAsItIs
  }

  public init(integerLiteral overhead: Int) { self.init(overhead: overhead) }
}
