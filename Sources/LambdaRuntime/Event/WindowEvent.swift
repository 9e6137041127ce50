public import StreamModel

/// Tumbling windows in the event: what stands behind the records, in the order of AWS.
extension EventWriter {
  /// The bytes that a tumbling window adds to an event, besides its state. Exact for four-digit years.
  public static func windowByteCount(
    for identity: EventIdentity, stream: String, kind: StreamKind = .kinesis, createdAt: WallTime = .zero
  ) -> Int {
    var buffer = EventBuffer()
    let origin = BatchOrigin(stream: stream, shard: ShardNumber(0), shardCreatedAtSeconds: 0, attempt: 1)
    EventWriter(identity: identity, stream: stream, kind: kind, createdAt: createdAt).appendWindow(
      WindowedBatch(
        origin: origin, records: nil, window: TimeWindow(start: .zero, end: .zero), state: .empty,
        isTerminatedEarly: false), to: &buffer)
    // `false` where this says `true`; the two brackets of the empty state belong to a state.
    return buffer.count + 1 - 2
  }

  /// Appends the event of an invocation of a tumbling window, without an end of line.
  public func write(_ batch: WindowedBatch, into buffer: inout EventBuffer) {
    if let records = batch.records {
      write(records, into: &buffer)
      buffer.removeLast()
    } else {
      buffer.append(contentsOf: #"{"Records":[]"#.utf8)
    }
    appendWindow(batch, to: &buffer)
    buffer.append(UInt8(ascii: "}"))
  }

  private func appendWindow(_ batch: WindowedBatch, to buffer: inout EventBuffer) {
    buffer.append(
      contentsOf: (#","shardId":"\#(batch.origin.shard)","eventSourceARN":"\#(escapedStreamARN)","window":{"start":""#
        + Self.text(batch.window.start) + #"","end":""# + Self.text(batch.window.end) + #""},"state":"#).utf8)
    if batch.state == .empty {
      buffer.append(contentsOf: "{}".utf8)
    } else {
      buffer.append(contentsOf: batch.state.bytes)
    }
    buffer.append(
      contentsOf: (#","isFinalInvokeForWindow":\#(batch.isFinal),"isWindowTerminatedEarly":\#(batch.isTerminatedEarly)"#)
        .utf8)
  }

  /// Windows begin and end with whole seconds.
  private static func text(_ time: WallTime) -> String { CalendarTime(time).withSeconds }
}
