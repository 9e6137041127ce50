import Foundation
import Synchronization

/// The lines that a child writes to a pipe, as they come.
final class OutputLines: Sendable {
  private struct State {
    var lines: [String] = []
    var partial: [UInt8] = []
    var waiting: [(text: String, moment: Moment<String?>)] = []
    var end: Int32?
  }

  private let state = Mutex(State())

  /// Reads on a thread of its own: a `readabilityHandler` that ends itself can bring the whole process down.
  init(reading pipe: Pipe) {
    let handle = pipe.fileHandleForReading
    Thread.detachNewThread { [weak self] in
      while true {
        let data = handle.availableData
        guard !data.isEmpty else { return }
        self?.take(data)
      }
    }
  }

  var all: [String] { state.withLock(\.lines) }

  /// The first line, past or future, that contains this.
  func line(containing text: String) async throws -> String {
    let moment = Moment<String?>()
    state.withLock { state in
      if let line = state.lines.first(where: { $0.contains(text) }) {
        moment.announce(line)
      } else if state.end != nil {
        moment.announce(nil)
      } else {
        state.waiting.append((text, moment))
      }
    }
    let deadline = DispatchWorkItem { moment.announce(nil) }
    DispatchQueue.global().asyncAfter(deadline: .now() + 40, execute: deadline)
    defer { deadline.cancel() }
    if let line = await moment.value { return line }
    throw NotHappened(
      description: "nobody said \(text); what was said:\n" + all.suffix(30).joined(separator: "\n"))
  }

  private func take(_ data: Data) {
    state.withLock { state in
      state.partial.append(contentsOf: data)
      while let end = state.partial.firstIndex(of: 10) {
        let line = String(decoding: state.partial[..<end], as: UTF8.self)
        state.partial.removeFirst(end + 1)
        state.lines.append(line)
        for waiter in state.waiting where line.contains(waiter.text) { waiter.moment.announce(line) }
        state.waiting.removeAll { line.contains($0.text) }
      }
    }
  }

  /// No more will come: the child ended.
  func end(_ code: Int32) {
    let waiting = state.withLock { state in
      state.end = code
      defer { state.waiting = [] }
      return state.waiting
    }
    for waiter in waiting { waiter.moment.announce(nil) }
  }
}
