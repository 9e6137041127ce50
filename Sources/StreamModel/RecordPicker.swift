/// Picks records of a run without copying them: makes a run in which the others are left out, a view of the same memory.
public struct RecordPicker: ~Copyable {
  private let run: RecordRun
  private let source: RecordRun
  /// The segment of the source that the next record is in, or one before it.
  private var segment = 0
  /// Where the records of that segment end, in the source.
  private var segmentEnd = 0
  /// Where the records end that were picked last, in the source.
  private var pickedEnd = 0

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
    run.ownFirstIndex = source.firstIndex
    run.removeAll()
    run.flags = source.flags
    run.reserve(records: min(countLimit, source.count))
    run.becomeSparse()
  }

  public var count: Int { run.count }

  /// Takes the records at these positions of the source, behind those picked so far. No more in all than the limit.
  public mutating func pick(_ positions: Range<Int>) {
    guard !positions.isEmpty else { return }
    precondition(positions.upperBound <= source.count, "a position lies inside its run")
    precondition(positions.lowerBound >= pickedEnd, "records are picked in the order of the shard")
    let first = source.index(at: positions.lowerBound)
    if run.count == 0 { run.ownFirstIndex = first }
    let count = run.count
    precondition(unsafe count + positions.count < run.offsets.count, "no more records are picked than was said")
    let offsets = unsafe run.offsets.baseAddress.unsafelyUnwrapped + count
    unsafe offsets.update(
      from: source.offsets.baseAddress.unsafelyUnwrapped + positions.lowerBound, count: positions.count)
    unsafe source.copyDistances(
      of: positions, countingFrom: UInt32(run.firstIndex.distance(to: first)),
      to: run.distances.baseAddress.unsafelyUnwrapped + count)
    // Most pieces lie in the block of the one before.
    if positions.upperBound > segmentEnd {
      run.appendSegments(of: positions, from: source.segments, startingAt: &segment, to: count)
      segmentEnd = segment + 1 < source.segments.count ? source.segments[segment + 1].firstPosition : source.count
    }
    pickedEnd = positions.upperBound
    run.ownCount = count + positions.count
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
    run.removeAll()
    unsafe run.base = nil
    run.owner = nil
  }
}
