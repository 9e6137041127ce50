import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// The Runtime API of one execution environment on a port of its own on 127.0.0.1, so that no other can touch its
/// invocations. Used by one thread, which also waits for the sockets.
struct RuntimeServer {
  /// Connections at once at most; more wait in the backlog.
  static let connectionLimit = 32

  /// What has happened, for the thread to act on.
  enum Occurrence {
    /// The runtime asks for the next event.
    case ready
    case result(RuntimeSession.Result)
    case initError(RuntimeSession.ReportedError)
  }

  let port: UInt16
  private let listener: Int32
  private var connections: [RuntimeConnection] = []
  private(set) var session: RuntimeSession
  private var chunk = [UInt8](repeating: 0, count: 65_536)
  private var occurrences: [Occurrence] = []

  /// `nil` when the process has too many descriptors.
  init?(responseByteLimit: Int) {
    guard let (handle, port) = SystemCall.listenOnLoopback(backlog: Int32(Self.connectionLimit)) else { return nil }
    self.listener = handle
    self.port = port
    self.session = RuntimeSession(responseByteLimit: responseByteLimit)
  }

  /// What to wait for.
  func appendHandles(to handles: inout [pollfd]) {
    if connections.count < Self.connectionLimit {
      handles.append(pollfd(fd: listener, events: Int16(POLLIN), revents: 0))
    }
    for connection in connections {
      let events = Int16(POLLIN) | (connection.hasOutput ? Int16(POLLOUT) : 0)
      handles.append(pollfd(fd: connection.handle, events: events, revents: 0))
    }
  }

  /// Moves what can be moved, and gives what has happened. `handles` are those that were waited for.
  mutating func serve(_ handles: some Sequence<pollfd>) -> [Occurrence] {
    for ready in handles where ready.revents != 0 {
      if ready.fd == listener {
        takeConnections()
      } else if let position = connections.firstIndex(where: { $0.handle == ready.fd }) {
        serve(position, ready.revents)
      }
    }
    defer { occurrences.removeAll(keepingCapacity: true) }
    return occurrences
  }

  /// Sends the event to the runtime if it waits for one. Its buffer holds head and body.
  mutating func begin(_ id: String, _ event: EventBuffer) -> Bool {
    guard let handle = session.begin(id), let position = connections.firstIndex(where: { $0.handle == handle }) else {
      return false
    }
    connections[position].send(event)
    dropIfFinished(position)
    return true
  }

  /// The buffer of an event that has been sent.
  mutating func takeSentEvent() -> EventBuffer? {
    for position in connections.indices {
      if let event = connections[position].takeSentEvent() { return event }
    }
    return nil
  }

  mutating func close() {
    for connection in connections { Foundation.close(connection.handle) }
    connections = []
    Foundation.close(listener)
  }

  private mutating func takeConnections() {
    while connections.count < Self.connectionLimit, let handle = SystemCall.accept(listener) {
      connections.append(RuntimeConnection(handle: handle, bodyByteLimit: session.responseByteLimit))
      // It has mostly said something already.
      serve(connections.count - 1, Int16(POLLIN))
    }
  }

  private mutating func serve(_ position: Int, _ events: Int16) {
    var connection = connections[position]
    // Out of the list while it is worked on: no copy is made.
    connections[position] = RuntimeConnection(handle: connection.handle, bodyByteLimit: 0)
    if events & Int16(POLLOUT) != 0 { connection.write() }
    var (session, occurrences, chunk) = (session, occurrences, [UInt8]())
    swap(&chunk, &self.chunk)
    connection.read(using: &chunk) { connection, request in
      switch session.take(request, on: connection.handle) {
      case .reply(let reply):
        connection.send(reply, closesConnection: request.closesConnection)
      case .hold:
        occurrences.append(.ready)
      case .result(let reply, let result):
        connection.send(reply, closesConnection: request.closesConnection)
        occurrences.append(.result(result))
      case .initError(let reply, let error):
        connection.send(reply, closesConnection: request.closesConnection)
        occurrences.append(.initError(error))
      }
    }
    swap(&chunk, &self.chunk)
    (self.session, self.occurrences) = (session, occurrences)
    connections[position] = connection
    dropIfFinished(position)
  }

  private mutating func dropIfFinished(_ position: Int) {
    let connection = connections[position]
    guard connection.isFinished else { return }
    session.lose(connection.handle)
    Foundation.close(connection.handle)
    connections.remove(at: position)
  }
}
