/// Who waits for an environment: in turn among those who share the function, and each of these in the order they came.
///
/// A mapping with a hundred lanes waits a hundred times; the one beside it with one lane still has every second turn.
struct TurnQueue<Waiter> {
  private struct Line {
    var caller: ObjectIdentifier?
    var waiting: [(number: Int, waiter: Waiter)]
  }

  /// Those with somebody waiting, the one whose turn is next at the front.
  private var lines: [Line] = []

  var isEmpty: Bool { lines.isEmpty }
  var count: Int { lines.reduce(0) { $0 + $1.waiting.count } }

  /// `number` is for ``remove(_:)``, and no two have the same.
  mutating func append(_ waiter: Waiter, number: Int, of caller: ObjectIdentifier?) {
    if let position = lines.firstIndex(where: { $0.caller == caller }) {
      lines[position].waiting.append((number, waiter))
    } else {
      lines.append(Line(caller: caller, waiting: [(number, waiter)]))
    }
  }

  /// The one whose turn it is; its line goes behind the others.
  mutating func popFirst() -> Waiter? {
    guard !lines.isEmpty else { return nil }
    var line = lines.removeFirst()
    let first = line.waiting.removeFirst()
    if !line.waiting.isEmpty { lines.append(line) }
    return first.waiter
  }

  mutating func remove(_ number: Int) -> Waiter? {
    for line in lines.indices {
      guard let position = lines[line].waiting.firstIndex(where: { $0.number == number }) else { continue }
      let found = lines[line].waiting.remove(at: position)
      if lines[line].waiting.isEmpty { lines.remove(at: line) }
      return found.waiter
    }
    return nil
  }

  mutating func removeAll() -> [Waiter] {
    defer { lines = [] }
    return lines.flatMap { $0.waiting.map(\.waiter) }
  }
}
