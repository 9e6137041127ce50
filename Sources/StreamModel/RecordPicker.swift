/// Picks records of a run without copying them: makes a run in which the others are left out, a view of the same memory.
public struct RecordPicker: ~Copyable {
  private let run: RecordRun
  private let source: RecordRun
  /// The segment of the source that the next record is in, or one before it.
  private var segment = 0

  /// Nothing of `source` yet, of which at most `countLimit` records are picked. Takes the memory of `old`, which was picked
  /// too, if nobody else refers to it any more.
  public init(recycling old: consuming RecordRun? = nil, from source: RecordRun, countLimit: Int) {
    if old != nil, isKnownUniquelyReferenced(&old), let reusable = old, reusable.isPicked {
      run = reusable
    } else {
      run = RecordRun(byteCapacity: 0, recordCapacity: 0, isPicked: true)
    }
    self.source = source
    run.owner = source
    unsafe run.base = source.base
    run.firstIndex = source.firstIndex
    run.count = 0
    run.segments.removeAll(keepingCapacity: true)
    run.distances.removeAll(keepingCapacity: true)
    run.reserve(records: min(countLimit, source.count))
  }

  public var count: Int { run.count }

  /// Takes the records at these positions of the source, behind those picked so far. No more in all than the limit.
  public mutating func pick(_ positions: Range<Int>) {
    guard let last = positions.last else { return }
    let first = source.index(at: positions.lowerBound)
    precondition(last < source.count, "a position lies inside its run")
    precondition(run.count == 0 || first >= run.endIndex, "records are picked in the order of the shard")
    if run.count == 0 { run.firstIndex = first }
    let count = run.count
    precondition(unsafe count + positions.count < run.offsets.count, "no more records are picked than was said")
    let offsets = unsafe run.offsets.baseAddress.unsafelyUnwrapped + count
    unsafe offsets.update(
      from: source.offsets.baseAddress.unsafelyUnwrapped + positions.lowerBound, count: positions.count)
    let distance = UInt32(run.firstIndex.distance(to: first))
    if source.isSparse {
      let before = source.distances[positions.lowerBound]
      for position in positions { run.distances.append(distance + (source.distances[position] - before)) }
    } else {
      run.distances.append(contentsOf: distance...distance + UInt32(positions.count - 1))
    }
    run.appendSegments(of: positions, from: source.segments, startingAt: &segment, to: count)
    run.count = count + positions.count
  }

  /// The records picked. They keep the memory of the source.
  public consuming func finish() -> RecordRun { run }
}

extension RecordRun {
  /// Lets go of the run that this one was picked from, so that its memory can be used again, and empties this one; unless
  /// somebody else holds it.
  public static func release(_ picked: inout RecordRun?) {
    guard picked != nil, isKnownUniquelyReferenced(&picked), let run = picked, run.isPicked else {
      picked = nil
      return
    }
    run.count = 0
    run.segments.removeAll(keepingCapacity: true)
    run.distances.removeAll(keepingCapacity: true)
    unsafe run.base = nil
    run.owner = nil
  }
}
