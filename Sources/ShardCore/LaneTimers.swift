import StreamModel

/// The moments at which lanes want to be woken: a binary heap with one entry a lane at most.
///
/// An entry may be earlier than what its lane wants by now, never later. A lane whose moment moves away keeps its entry
/// and is looked at once too often; that is cheaper than moving the entry with every delivery.
struct LaneTimers: Hashable {
  private struct Entry: Hashable {
    var due: MonotonicTime
    var lane: Int
  }

  private var heap: [Entry] = []
  /// By lane: its place in the heap, or -1.
  private var places: [Int] = []

  var count: Int { heap.count }
  var earliest: MonotonicTime? { heap.first?.due }

  mutating func addLane() {
    places.append(-1)
    heap.reserveCapacity(places.count)
  }

  /// The lane wants to be woken at `due`, or earlier.
  mutating func want(_ due: MonotonicTime, lane: Int) {
    let place = places[lane]
    if place < 0 {
      heap.append(Entry(due: due, lane: lane))
      rise(heap.count - 1)
    } else if due < heap[place].due {
      heap[place].due = due
      rise(place)
    }
  }

  /// Takes the lane with the earliest entry if that is not later than `now`.
  mutating func takeDue(at now: MonotonicTime) -> Int? {
    guard let first = heap.first, first.due <= now else { return nil }
    places[first.lane] = -1
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      sink(0)
    }
    return first.lane
  }

  private mutating func rise(_ start: Int) {
    var place = start
    let entry = heap[place]
    while place > 0 {
      let parent = (place - 1) / 2
      guard entry.due < heap[parent].due else { break }
      heap[place] = heap[parent]
      places[heap[place].lane] = place
      place = parent
    }
    heap[place] = entry
    places[entry.lane] = place
  }

  private mutating func sink(_ start: Int) {
    var place = start
    let entry = heap[place]
    while true {
      var child = 2 * place + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, heap[child + 1].due < heap[child].due { child += 1 }
      guard heap[child].due < entry.due else { break }
      heap[place] = heap[child]
      places[heap[place].lane] = place
      place = child
    }
    heap[place] = entry
    places[entry.lane] = place
  }
}
