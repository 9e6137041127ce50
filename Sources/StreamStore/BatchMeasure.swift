public import StreamModel

/// How many records of a run make a batch, and what the batch is like. Pure: the same run and limits give the same
/// answer.
public struct BatchMeasure: Hashable, Sendable {
  /// Records from the given position on. Zero only at the end of the run.
  public var count = 0
  /// What they add to the encoded event; see ``payloadByteCount(of:sizing:)``.
  public var payloadBytes = 0
  /// The count or the payload limit, or a tumbling window, ended the batch. If not, the run did.
  public var isFull = false
  public var firstArrival = WallTime.zero
  public var lastArrival = WallTime.zero
  /// Records at the head that arrived before the given moment.
  public var expiredCount = 0
  /// The greatest lineage of the records, if the measure was given a limit for it.
  public var lineage = Lineage.none
  /// The arrival of the last of those; zero if there are none.
  public var lastExpiredArrival = WallTime.zero

  /// Measures the batch that begins at `position`, 0 ... run.count. One record is given even if it is above the payload
  /// limit. Costs a few nanoseconds a record. With a `lineageLimit`, records that have reached it and records that have not
  /// are never in one batch.
  public static func measure(
    _ run: RecordRun, from position: Int, countLimit: Int, payloadByteLimit: Int, recordOverheadBytes: RecordSizing,
    expiredBefore: WallTime?, cut: WindowCut = .none, lineageLimit: Lineage? = nil
  ) -> BatchMeasure {
    var measure = BatchMeasure()
    var end = min(run.count, position + countLimit)
    guard position < end else { return measure }
    if cut != .none {
      let windowEnd = cut.end(first: run.arrival(at: position))
      let beyond = run.firstPosition(arrivedAtOrAfter: windowEnd, in: position + 1..<end)
      measure.isFull = beyond < end
      end = beyond
    }
    if let lineageLimit, run.mayHaveLineage {
      let hasReached = run.lineage(at: position) >= lineageLimit
      let border = (position..<end).first { (run.lineage(at: $0) >= lineageLimit) != hasReached }
      measure.isFull = measure.isFull || border != nil || hasReached
      end = border ?? end
    }
    unsafe run.withAddresses { base, offsets in
      for place in position..<end {
        let size = unsafe payloadByteCount(of: base + Int(offsets[place]), sizing: recordOverheadBytes)
        if measure.payloadBytes + size > payloadByteLimit && measure.count > 0 {
          measure.isFull = true
          break
        }
        measure.payloadBytes += size
        measure.count += 1
      }
    }
    measure.isFull = measure.isFull || measure.count == countLimit || measure.payloadBytes >= payloadByteLimit
    measure.firstArrival = run.arrival(at: position)
    measure.lastArrival = run.arrival(at: position + measure.count - 1)
    if lineageLimit != nil { measure.lineage = run.greatestLineage(in: position..<position + measure.count) }
    if let expiredBefore { measure.countExpired(run, from: position, before: expiredBefore) }
    return measure
  }

  /// Arrivals never step back within a shard, so the expired ones are at the head: a search by halves.
  private mutating func countExpired(_ run: RecordRun, from position: Int, before moment: WallTime) {
    guard firstArrival < moment else { return }
    let fresh = run.firstPosition(arrivedAtOrAfter: moment, in: position + 1..<position + count)
    expiredCount = fresh - position
    lastExpiredArrival = run.arrival(at: fresh - 1)
  }

  /// What the packed record at `address` adds to an event in JSON: its data in base64 or as it is, its partition key
  /// escaped, and the overhead for everything else.
  @inline(__always)
  static func payloadByteCount(of address: UnsafeRawPointer, sizing: RecordSizing) -> Int {
    let header = unsafe RecordHeader(at: address)
    guard !sizing.takesDataAsItIs else { return sizing.overhead + header.dataByteCount }
    return unsafe sizing.overhead + (header.dataByteCount + 2) / 3 * 4 + escapedByteCount(ofKeyIn: address, header)
  }

  /// The bytes of a packed record's key as a JSON string without its quotes: `"` and `\` and the five short escapes take
  /// two bytes, other control characters six.
  @inline(__always)
  private static func escapedByteCount(ofKeyIn record: UnsafeRawPointer, _ header: RecordHeader) -> Int {
    let key = unsafe UnsafeRawBufferPointer(start: record + header.keyOffset, count: header.keyByteCount)
    return unsafe isPlain(key) ? key.count : escapedByteCount(of: key)
  }

  /// Whether nothing in the key is escaped: eight bytes at a time. The last eight end with the key; where the key is
  /// shorter, they begin in the header before it.
  @inline(__always)
  private static func isPlain(_ key: UnsafeRawBufferPointer) -> Bool {
    let count = key.count
    guard let start = key.baseAddress, count > 0 else { return false }
    var last = unsafe (start + count - 8).loadUnaligned(as: UInt64.self).littleEndian
    if count < 8 {
      let own = UInt64.max &<< UInt64(64 &- 8 &* count)
      last = last & own | 0x2020_2020_2020_2020 & ~own
    }
    var position = 0
    while position < count &- 8 {
      let word = unsafe (start + position).loadUnaligned(as: UInt64.self).littleEndian
      guard EightBytes.areAllPlain(word) else { return false }
      position &+= 8
    }
    return EightBytes.areAllPlain(last)
  }

  static func escapedByteCount(of text: UnsafeRawBufferPointer) -> Int {
    var count = text.count
    for position in 0..<text.count {
      let byte = unsafe text[position]
      guard byte < 0x20 || byte == 0x22 || byte == 0x5c else { continue }
      switch byte {
      case 0x22, 0x5c, 0x08, 0x09, 0x0a, 0x0c, 0x0d: count += 1
      default: count += 5
      }
    }
    return count
  }
}

extension RecordRun {
  /// The first position in `range` whose record arrived at this moment or later; the range's end if there is none.
  /// Arrivals never step back within a shard, so this is a search by halves.
  fileprivate func firstPosition(arrivedAtOrAfter moment: WallTime, in range: Range<Int>) -> Int {
    var (low, high) = (range.lowerBound, range.upperBound)
    while low < high {
      let middle = (low + high) / 2
      if arrival(at: middle) < moment { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
