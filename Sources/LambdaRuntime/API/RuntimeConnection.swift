import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// One connection of a runtime: its socket, what has come, and what has yet to go. Used by one thread.
struct RuntimeConnection {
  let handle: Int32
  private var reader: HTTPRequestReader
  private var output: [UInt8] = []
  private var writtenByteCount = 0
  /// An event on its way, behind `output`.
  private var event: EventBuffer?
  private var eventWrittenByteCount = 0
  /// The last reply was sent to one who wants no other.
  private(set) var closesWhenWritten = false
  /// Nobody is at the other end, or what came is not HTTP.
  private(set) var isOver = false

  init(handle: Int32, bodyByteLimit: Int) {
    self.handle = handle
    self.reader = HTTPRequestReader(bodyByteLimit: bodyByteLimit)
  }

  var hasOutput: Bool { writtenByteCount < output.count || event != nil }

  /// Whether nothing more will come of it.
  var isFinished: Bool { isOver || closesWhenWritten && !hasOutput }

  /// Takes what has come, a few chunks at most, and gives the whole requests.
  mutating func read(using chunk: inout [UInt8], _ take: (inout RuntimeConnection, HTTPRequest) -> Void) {
    for _ in 0..<64 {
      guard !isOver, !closesWhenWritten else { return }
      switch SystemCall.read(handle, into: &chunk) {
      case .bytes(let count):
        reader.append(chunk[..<count])
        takeRequests(take)
        if count < chunk.count { return }
      case .wouldBlock:
        return
      case .closed:
        isOver = true
        if let cut = reader.takeTruncated() { take(&self, cut) }
      }
    }
  }

  private mutating func takeRequests(_ take: (inout RuntimeConnection, HTTPRequest) -> Void) {
    do {
      while let request = try reader.next() { take(&self, request) }
      if reader.wantsContinue {
        reader.wantsContinue = false
        output += RuntimeReply.continuing
        write()
      }
    } catch {
      send(.fault(error), closesConnection: true)
    }
  }

  mutating func send(_ reply: RuntimeReply, closesConnection: Bool) {
    compact()
    output +=
      reply == .accepted && !closesConnection
      ? RuntimeReply.acceptedBytes : reply.bytes(closesConnection: closesConnection)
    if closesConnection { closesWhenWritten = true }
    write()
  }

  /// Sends a reply with all that belongs to it. Give back the buffer with ``takeSentEvent()``.
  mutating func send(_ event: EventBuffer) {
    compact()
    self.event = event
    eventWrittenByteCount = 0
    write()
  }

  /// The buffer of an event that is gone to the last byte.
  mutating func takeSentEvent() -> EventBuffer? {
    guard let event, eventWrittenByteCount == event.count else { return nil }
    self.event = nil
    return event
  }

  /// As much as the socket takes.
  mutating func write() {
    while writtenByteCount < output.count {
      let transfer = unsafe output.withUnsafeBytes {
        unsafe SystemCall.send(handle, UnsafeRawBufferPointer(rebasing: $0[writtenByteCount...]))
      }
      guard note(transfer, { $0.writtenByteCount += $1 }) else { return }
    }
    while let event, eventWrittenByteCount < event.count {
      let transfer = unsafe event.withUnsafeBytes {
        unsafe SystemCall.send(handle, UnsafeRawBufferPointer(rebasing: $0[eventWrittenByteCount...]))
      }
      guard note(transfer, { $0.eventWrittenByteCount += $1 }) else { return }
    }
  }

  private mutating func note(
    _ transfer: SystemCall.Transfer, _ count: (inout RuntimeConnection, Int) -> Void
  ) -> Bool {
    switch transfer {
    case .bytes(let sent):
      count(&self, sent)
      return true
    case .wouldBlock:
      return false
    case .closed:
      isOver = true
      return false
    }
  }

  private mutating func compact() {
    guard writtenByteCount == output.count else { return }
    output.removeAll(keepingCapacity: true)
    writtenByteCount = 0
  }
}
