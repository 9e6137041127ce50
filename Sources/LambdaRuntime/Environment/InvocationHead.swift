/// The head of the HTTP response that carries an event to a runtime, written in front of the event in one buffer.
///
/// The deadline and the length are known later than the rest, so there is room for them; a number may have blanks before
/// it (RFC 9112 §5.1).
struct InvocationHead: Sendable {
  private let prefix: [UInt8]

  /// Where in the buffer the late numbers stand.
  struct Places: Hashable, Sendable {
    var deadline = 0
    var length = 0
    var body = 0
  }

  init(functionARN: String) {
    // Some runtimes decode the event only if the type is exactly this.
    prefix = Array(
      ("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        + "Lambda-Runtime-Invoked-Function-Arn: \(functionARN)\r\nLambda-Runtime-Aws-Request-Id: ").utf8)
  }

  /// Appends head and event.
  func write(
    _ requestID: String, traceID: String, into buffer: inout EventBuffer, event: (inout EventBuffer) -> Void
  ) -> Places {
    var places = Places()
    buffer.append(contentsOf: prefix)
    buffer.append(contentsOf: requestID.utf8)
    buffer.append(contentsOf: "\r\nLambda-Runtime-Trace-Id: ".utf8)
    buffer.append(contentsOf: traceID.utf8)
    buffer.append(contentsOf: "\r\nLambda-Runtime-Deadline-Ms: ".utf8)
    places.deadline = buffer.count
    buffer.append(contentsOf: Self.room)
    buffer.append(contentsOf: "\r\nContent-Length: ".utf8)
    places.length = buffer.count
    buffer.append(contentsOf: Self.room)
    buffer.append(contentsOf: "\r\n\r\n".utf8)
    places.body = buffer.count
    event(&buffer)
    Self.put(Int64(buffer.count - places.body), at: places.length, in: &buffer)
    return places
  }

  /// The time at which the invocation times out, in milliseconds since 1970.
  static func setDeadline(_ milliseconds: Int64, at places: Places, in buffer: inout EventBuffer) {
    put(milliseconds, at: places.deadline, in: &buffer)
  }

  private static let room = [UInt8](repeating: UInt8(ascii: " "), count: 15)

  private static func put(_ number: Int64, at position: Int, in buffer: inout EventBuffer) {
    var digits = room
    var rest = number
    var place = digits.count
    repeat {
      place -= 1
      digits[place] = UInt8(truncatingIfNeeded: 48 + rest % 10)
      rest /= 10
    } while rest > 0 && place > 0
    buffer.overwrite(at: position, with: digits)
  }
}

/// X-Ray's header for an invocation that nobody traces: `Root=1-…;Parent=…;Sampled=0;Lineage=…`.
enum TraceID {
  /// Made from a request id, so that the two name each other. `lineage` is the member that what is put for the invocation
  /// must carry on.
  static func make(for requestID: String, atSecond second: Int64, lineage: String) -> String {
    let digits = requestID.utf8.filter { $0 != UInt8(ascii: "-") }
    let hex = String(decoding: digits, as: UTF8.self)
    let padded = hex.count >= 32 ? hex : hex + String(repeating: "0", count: 32 - hex.count)
    let time = String(UInt32(truncatingIfNeeded: second), radix: 16)
    let fill = String(repeating: "0", count: 8 - time.count)
    return "Root=1-\(fill)\(time)-\(padded.prefix(24));Parent=\(padded.suffix(16));Sampled=0;\(lineage)"
  }
}
