/// A run of records of one shard, consecutive or picked from consecutive ones: what a read gives, and what batches are
/// views of. The records stand in one slab of memory, its own or that of the run they were picked from.
///
/// Only a ``RecordRunBuilder`` or a ``RecordPicker`` makes one, and from then on it is immutable and may be shared between
/// tasks. When nobody else holds it any more, a new one takes over the memory: see ``RecordRunBuilder/init(recycling:)``.
@safe
public final class RecordRun: @unchecked Sendable {
  // Unchecked because of the pointers and variables: a builder or a picker alone writes them, while it is the only one
  // that refers to this object; afterwards they are only read. That is also why no access to them is checked for
  // exclusivity: there are several for each record, and the checks took longer than all the rest.
  @exclusivity(unchecked) fileprivate var bytes: UnsafeMutableRawBufferPointer
  /// Where each record begins, and where the last one ends.
  @usableFromInline @exclusivity(unchecked) var offsets: UnsafeMutableBufferPointer<UInt32>
  /// What the offsets count from: the first of `bytes`, here or in the run that owns the records.
  @usableFromInline @exclusivity(unchecked) var base: UnsafeMutableRawPointer?
  /// Whether the records are those of another run, and that run, unless it was let go of.
  let isPicked: Bool
  @safe @exclusivity(unchecked) var owner: RecordRun?
  @safe @exclusivity(unchecked) var segments: [Segment] = []
  /// By record, if the run is sparse: how far behind the first it stands in the shard. Room for as many as `offsets` has
  /// once the run was sparse, and none before.
  @usableFromInline @exclusivity(unchecked)
  var distances = unsafe UnsafeMutableBufferPointer<UInt32>(start: nil, count: 0)
  @safe @exclusivity(unchecked) fileprivate var usedByteCount = 0

  // What others see of these they see through functions: accesses of their own would be checked.
  @usableFromInline @safe @exclusivity(unchecked) var ownFirstIndex = RecordIndex.zero
  @usableFromInline @safe @exclusivity(unchecked) var ownCount = 0
  @usableFromInline @safe @exclusivity(unchecked) var hasGaps = false
  /// Each flag that a record has, and maybe some that none has any more.
  @safe @exclusivity(unchecked) var flags: UInt16 = 0

  /// A stretch of records that came from one block and share its first arrival.
  struct Segment {
    var firstPosition: Int
    var firstArrival: WallTime
  }

  init(byteCapacity: Int, recordCapacity: Int, isPicked: Bool = false) {
    self.isPicked = isPicked
    unsafe bytes = .allocate(byteCount: byteCapacity, alignment: 16)
    unsafe base = bytes.baseAddress
    unsafe offsets = .allocate(capacity: recordCapacity + 1)
    unsafe offsets[0] = 0
  }

  deinit {
    unsafe bytes.deallocate()
    unsafe offsets.deallocate()
    unsafe distances.deallocate()
  }

  /// The index of the first record, or where the run begins while it is empty.
  @inlinable
  public var firstIndex: RecordIndex { ownFirstIndex }

  /// The number of records. May be zero.
  @inlinable
  public var count: Int { ownCount }

  /// Whether records between the first and the last were left out.
  @inlinable
  public var isSparse: Bool { hasGaps }

  /// The index behind the last record.
  public var endIndex: RecordIndex { count == 0 ? firstIndex : index(at: count - 1).advanced(by: 1) }

  /// The index of the record at `position`, 0 ..< count. Constant cost.
  @inlinable
  public func index(at position: Int) -> RecordIndex {
    precondition(position >= 0 && position < count, "a position lies inside its run")
    return firstIndex.advanced(by: isSparse ? unsafe Int(distances[position]) : position)
  }

  /// How many records stand before the one at `index`, which need not be in the run. A search by halves if the run is
  /// sparse.
  public func position(atOrAfter index: RecordIndex) -> Int {
    guard index > firstIndex else { return 0 }
    let distance = firstIndex.distance(to: index)
    guard isSparse else { return Int(min(distance, UInt64(count))) }
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if unsafe UInt64(distances[middle]) < distance { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The bytes of all records, as far as they stand in memory of the run's own.
  public var packedByteCount: Int { usedByteCount }

  /// The bytes of memory that this run holds on to.
  public var capacityInBytes: Int { unsafe bytes.count + (offsets.count + distances.count) * 4 }

  /// The arrival time of the record at `position`, 0 ..< count. Costs a search over the blocks of the run.
  public func arrival(at position: Int) -> WallTime {
    let delta = unsafe RecordHeader(at: address(at: position)).arrivalDelta
    return segment(of: position).firstArrival.adding(milliseconds: Int64(delta))
  }

  /// Whether a record of the run may have a lineage. If not, none needs to be looked at.
  public var mayHaveLineage: Bool { Lineage(flags: flags) > .none }

  /// The lineage of the record at `position`, 0 ..< count.
  public func lineage(at position: Int) -> Lineage {
    guard mayHaveLineage else { return .none }
    return unsafe RecordHeader(at: address(at: position)).lineage
  }

  /// The greatest lineage of the records at `positions`.
  public func greatestLineage(in positions: Range<Int>) -> Lineage {
    guard mayHaveLineage else { return .none }
    return positions.reduce(.none) { max($0, lineage(at: $1)) }
  }

  func segment(of position: Int) -> Segment {
    var segment = segments.count - 1
    while segments[segment].firstPosition > position { segment -= 1 }
    return segments[segment]
  }

  /// The first byte of the packed record at `position`, 0 ..< count; valid as long as this run lives.
  @unsafe @inlinable
  public func address(at position: Int) -> UnsafeRawPointer {
    precondition(position >= 0 && position < count, "a position lies inside its run")
    return unsafe UnsafeRawPointer(base.unsafelyUnwrapped + Int(offsets[position]))
  }

  /// The memory that records lie in and where in it each begins, for walks over many of them; valid inside `body`.
  @unsafe
  public func withAddresses<Result>(
    _ body: (UnsafeRawPointer, UnsafeBufferPointer<UInt32>) -> Result
  ) -> Result? {
    guard let base = unsafe base else { return nil }
    return unsafe body(UnsafeRawPointer(base), UnsafeBufferPointer(rebasing: offsets[0..<count]))
  }

  /// The packed bytes of the records at `range`, whose indexes follow one another; valid as long as this run lives.
  @unsafe
  public func packedBytes(_ range: Range<Int>) -> UnsafeRawBufferPointer {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "a range lies inside its run")
    guard let last = range.last else { return unsafe UnsafeRawBufferPointer(start: nil, count: 0) }
    precondition(
      !isPicked || index(at: range.lowerBound).distance(to: index(at: last)) == UInt64(range.count - 1),
      "picked records lie together only where they follow one another")
    let start = unsafe address(at: range.lowerBound)
    return unsafe UnsafeRawBufferPointer(start: start, count: end(of: last) - Int(offsets[range.lowerBound]))
  }

  /// The bytes that the record at `position` takes when packed. Constant cost.
  public func packedByteCount(at position: Int) -> Int {
    precondition(position >= 0 && position < count, "a position lies inside its run")
    return unsafe end(of: position) - Int(offsets[position])
  }

  /// Where the record ends, counted as offsets are.
  private func end(of position: Int) -> Int {
    guard isPicked else { return unsafe Int(offsets[position + 1]) }
    return unsafe Int(offsets[position]) + RecordHeader(at: address(at: position)).byteCount
  }

  /// Writes how far the records at `positions`, one or more, stand behind a place in the shard that the first of them is
  /// `distance` behind.
  func copyDistances(
    of positions: Range<Int>, countingFrom distance: UInt32, to distances: UnsafeMutablePointer<UInt32>
  ) {
    guard isSparse else {
      for place in 0..<positions.count { unsafe distances[place] = distance &+ UInt32(truncatingIfNeeded: place) }
      return
    }
    let own = unsafe UnsafePointer(self.distances.baseAddress.unsafelyUnwrapped + positions.lowerBound)
    let shift = unsafe distance &- own[0]
    for place in 0..<positions.count { unsafe distances[place] = own[place] &+ shift }
  }

  /// Takes over where the blocks of records begin that come to stand at `count` of this run, out of the segments of a
  /// source; `segment` is the one of the first record, or one before it, and then that of the last.
  func appendSegments(
    of positions: Range<Int>, from segments: [Segment], startingAt segment: inout Int, to count: Int
  ) {
    while segment + 1 < segments.count, segments[segment + 1].firstPosition <= positions.lowerBound { segment += 1 }
    var begin = positions.lowerBound
    while true {
      let firstArrival = segments[segment].firstArrival
      if self.segments.last?.firstArrival != firstArrival {
        self.segments.append(
          Segment(firstPosition: count + begin - positions.lowerBound, firstArrival: firstArrival))
      }
      guard segment + 1 < segments.count, segments[segment + 1].firstPosition < positions.upperBound else { return }
      segment += 1
      begin = segments[segment].firstPosition
    }
  }

  /// Makes room for the offsets of so many records, and if the run is sparse for their distances.
  func reserve(records: Int) {
    if unsafe offsets.count < records + 1 {
      let larger = unsafe UnsafeMutableBufferPointer<UInt32>.allocate(capacity: max(records + 1, offsets.count * 2))
      for position in 0...count { unsafe larger[position] = offsets[position] }
      unsafe offsets.deallocate()
      unsafe offsets = larger
    }
    if isSparse { reserveDistances() }
  }

  private func reserveDistances() {
    guard unsafe distances.count < offsets.count else { return }
    let larger = unsafe UnsafeMutableBufferPointer<UInt32>.allocate(capacity: offsets.count)
    if isSparse { for position in 0..<count { unsafe larger[position] = distances[position] } }
    unsafe distances.deallocate()
    unsafe distances = larger
  }

  /// From now on each record has a distance; those that are there follow one another.
  func becomeSparse() {
    guard !isSparse else { return }
    reserveDistances()
    for position in 0..<count { unsafe distances[position] = UInt32(position) }
    hasGaps = true
  }

  /// Nothing is in the run any more, and its memory stays.
  func removeAll() {
    ownCount = 0
    segments.removeAll(keepingCapacity: true)
    hasGaps = false
    flags = 0
  }
}

/// Fills the slab of a ``RecordRun``, block by block.
public struct RecordRunBuilder: ~Copyable {
  private let run: RecordRun
  /// The segment of a source that the next record is in, or one before it.
  private var segment = 0

  /// An empty run that begins at `firstIndex`. Takes the memory of `old` if nobody else refers to it any more.
  public init(recycling old: consuming RecordRun? = nil, firstIndex: RecordIndex) {
    if old != nil, isKnownUniquelyReferenced(&old), let reusable = old, !reusable.isPicked {
      self.run = reusable
    } else {
      self.run = RecordRun(byteCapacity: 0, recordCapacity: 0)
    }
    run.ownFirstIndex = firstIndex
    run.removeAll()
    run.usedByteCount = 0
  }

  public var count: Int { run.count }
  public var byteCount: Int { run.usedByteCount }

  /// What was appended so far. Nothing may be appended while somebody reads it elsewhere.
  public var taken: RecordRun { run }

  /// Copies records of another run of the same shard, behind those copied so far. The first one begins this run.
  /// Distances within a run are below 2^32 records; `false`, with nothing copied, if the last one is further away.
  /// Records that follow one another are copied in one piece, and none is looked at.
  public mutating func append(recordsAt positions: Range<Int>, of source: RecordRun) -> Bool {
    guard let last = positions.last else { return true }
    let first = source.index(at: positions.lowerBound)
    if run.count == 0 { run.ownFirstIndex = first }
    precondition(first >= run.endIndex, "records of a run are in the order of the shard")
    guard run.firstIndex.distance(to: source.index(at: last)) <= UInt64(UInt32.max) else { return false }
    guard !source.isPicked else {
      for position in positions { copy(position..<position + 1, of: source) }
      return true
    }
    copy(positions, of: source)
    return true
  }

  /// `positions` is not empty, and what is there lies together.
  private mutating func copy(_ positions: Range<Int>, of source: RecordRun) {
    let packed = unsafe source.packedBytes(positions)
    let start = run.usedByteCount
    let count = run.count
    precondition(start + packed.count <= Int(UInt32.max), "a run holds less than 4 GiB")
    reserve(bytes: packed.count, records: positions.count)
    unsafe UnsafeMutableRawBufferPointer(rebasing: run.bytes[start..<start + packed.count]).copyMemory(from: packed)
    let offsets = unsafe run.offsets.baseAddress.unsafelyUnwrapped + count
    if positions.count == 1 {
      unsafe offsets[1] = UInt32(start + packed.count)
    } else {
      let old = unsafe UnsafePointer(source.offsets.baseAddress.unsafelyUnwrapped + positions.lowerBound)
      for place in 1...positions.count { unsafe offsets[place] = UInt32(start) + (old[place] - old[0]) }
    }
    takeDistances(of: positions, of: source)
    takeSegments(of: positions, of: source)
    run.flags |= source.flags
    run.ownCount = count + positions.count
    run.usedByteCount = start + packed.count
  }

  private func takeDistances(of positions: Range<Int>, of source: RecordRun) {
    let distance = UInt32(run.firstIndex.distance(to: source.index(at: positions.lowerBound)))
    if !run.isSparse {
      guard source.isSparse || Int(distance) != run.count else { return }
      run.becomeSparse()
    }
    unsafe source.copyDistances(
      of: positions, countingFrom: distance, to: run.distances.baseAddress.unsafelyUnwrapped + run.count)
  }

  /// A segment is found behind that of the records before: they come in the order of the shard.
  private mutating func takeSegments(of positions: Range<Int>, of source: RecordRun) {
    let segments = source.segments
    if segment >= segments.count || segments[segment].firstPosition > positions.lowerBound { segment = 0 }
    run.appendSegments(of: positions, from: segments, startingAt: &segment, to: run.count)
  }

  /// Appends records as the next function does, after a gap: the first of them stands at `index`.
  public mutating func append(
    packed: UnsafeRawBufferPointer, recordCount: Int, firstArrival: WallTime, at index: RecordIndex
  ) -> Bool {
    if run.count == 0 { run.ownFirstIndex = index }
    guard index >= run.endIndex else { return false }
    let distance = run.firstIndex.distance(to: index)
    guard distance + UInt64(recordCount) <= UInt64(UInt32.max) else { return false }
    let former = run.count
    guard unsafe append(packed: packed, recordCount: recordCount, firstArrival: firstArrival) else { return false }
    if !run.isSparse {
      guard distance != UInt64(former) else { return true }
      run.becomeSparse()
    }
    for place in 0..<recordCount { unsafe run.distances[former + place] = UInt32(distance) + UInt32(place) }
    return true
  }

  /// Appends `recordCount` packed records that follow one another in `packed`, whose arrival deltas count from
  /// `firstArrival`. `false`, with nothing appended, if the bytes are not exactly that many well-formed records.
  /// Copies once and walks the headers once.
  public mutating func append(packed: UnsafeRawBufferPointer, recordCount: Int, firstArrival: WallTime) -> Bool {
    precondition(run.usedByteCount + packed.count <= Int(UInt32.max), "a run holds less than 4 GiB")
    reserve(bytes: packed.count, records: recordCount)
    let start = run.usedByteCount
    let end = start + packed.count
    if packed.count > 0 {
      unsafe UnsafeMutableRawBufferPointer(rebasing: run.bytes[start..<end]).copyMemory(from: packed)
    }
    let base = unsafe UnsafeRawPointer(run.base.unsafelyUnwrapped)
    let offsets = unsafe run.offsets.baseAddress.unsafelyUnwrapped + run.count
    var offset = start
    var flags = run.flags
    for position in 0..<recordCount {
      guard offset + RecordLayout.headerByteCount <= end else { return false }
      let header = unsafe RecordHeader(at: base + offset)
      offset += header.byteCount
      flags |= header.flags
      guard offset <= end else { return false }
      unsafe offsets[position + 1] = UInt32(truncatingIfNeeded: offset)
    }
    guard offset == end else { return false }
    if recordCount > 0, run.segments.last?.firstArrival != firstArrival {
      run.segments.append(.init(firstPosition: run.count, firstArrival: firstArrival))
    }
    run.ownCount += recordCount
    run.flags = flags
    run.usedByteCount = end
    return true
  }

  /// The finished run.
  public consuming func finish() -> RecordRun { run }

  private func reserve(bytes: Int, records: Int) {
    let neededBytes = run.usedByteCount + bytes
    if unsafe run.bytes.count < neededBytes {
      let larger = unsafe UnsafeMutableRawBufferPointer.allocate(
        byteCount: max(neededBytes, run.bytes.count * 2), alignment: 16)
      unsafe larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: run.bytes[0..<run.usedByteCount]))
      unsafe run.bytes.deallocate()
      unsafe run.bytes = larger
      unsafe run.base = larger.baseAddress
    }
    run.reserve(records: run.count + records)
  }
}
