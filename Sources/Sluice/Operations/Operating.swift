public import StreamModel

/// Someone who carries out operator requests: the store itself, or a running worker behind its port.
public protocol Operating: Sendable {
  func perform(_ request: OperatorRequest) async -> OperatorAnswer
}

/// Someone who can also put records.
public protocol Writing: Operating {
  /// Puts packed records, as `RecordLayout` describes them. They are durable when this returns. `lineage` is that of who
  /// puts: of a function, what the trace header of its invocation says.
  func put(_ packed: [UInt8], into stream: String, lineage: Lineage) async -> PutAnswer
}

extension Writing {
  /// Puts packed records from outside.
  public func put(_ packed: [UInt8], into stream: String) async -> PutAnswer {
    await put(packed, into: stream, lineage: .none)
  }
}
