/// Failure entries that wait to be delivered again, in the order of the requests.
struct RedriveQueue: Hashable {
  private var entries: [Redrive] = []
  private var head = 0

  var count: Int { entries.count - head }
  var isEmpty: Bool { head == entries.count }
  var first: Redrive? { isEmpty ? nil : entries[head] }

  mutating func append(_ redrive: Redrive) {
    // Entries already delivered make room before the array grows: it stays below twice the limit.
    if head > 0, head >= count {
      entries.removeFirst(head)
      head = 0
    }
    entries.append(redrive)
  }

  mutating func removeFirst() -> Redrive {
    precondition(!isEmpty, "there is a redrive to take")
    let redrive = entries[head]
    head += 1
    if isEmpty { removeAll() }
    return redrive
  }

  mutating func removeAll() {
    entries.removeAll(keepingCapacity: true)
    head = 0
  }
}
