import ShardCore
import StreamModel
import StreamStore

/// Reads of a lane that blocks by key: its own batches without the records of parked keys, and those records by number.
extension StoreLaneSource {
  /// While no key is parked, batches are read as in any other lane; only the key of the first record is named.
  func readByKey(
    _ shard: ShardAddress, _ request: ReadRequest, _ parking: ReadRequest.Parking, into buffer: inout LaneBuffer
  ) -> ReadAnswer {
    var answer: ReadAnswer
    if parking.keys.isEmpty {
      if buffer.parkedRevision != nil {
        // What was read ahead lacks the records of keys that are parked no more.
        buffer.forgetReadAhead()
        buffer.parkedRevision = nil
      }
      answer = readOwn(shard, request, into: &buffer)
    } else {
      if buffer.parkedRevision != parking.keys.revision {
        buffer.forgetReadAhead()
        buffer.parkedRevision = parking.keys.revision
      }
      var selection: any RecordSelecting = ParkedSelection(own: buffer.selection.take(), keys: parking.keys)
      defer { buffer.selection = (selection as? ParkedSelection)?.own }
      answer = readSelected(shard, request, selecting: &selection, into: &buffer, parkingLimit: parking.limit)
    }
    if case .records(var result) = answer, request.purpose == .deliver, let run = buffer.run {
      let origin = buffer.origin
      let batch = RecordBatch(origin: origin, run: run, range: buffer.range)
      result.firstKey = PartitionKeyHash(batch[0].partitionKeyHash)
      answer = .records(result)
    }
    return answer
  }

  /// Parked records, by their numbers. What stands before a damaged block is given first.
  func readParked(_ shard: ShardAddress, _ request: ReadRequest, into buffer: inout LaneBuffer) -> ReadAnswer {
    var builder = RecordRunBuilder(recycling: buffer.takeRun(), firstIndex: request.from)
    var begin = request.from
    do {
      try copyParked(shard, request.ranges, into: &builder, begin: &begin, raw: &buffer.raw)
    } catch {
      if builder.count == 0 { return answer(to: error, shard) }
    }
    let run = builder.finish()
    guard run.count > 0 else { return .nothingSelected(begin: begin, end: begin) }
    let batch = measure(run, from: 0, request)
    buffer.run = run
    buffer.range = 0..<batch.count
    buffer.scanned = run.firstIndex..<run.firstIndex
    return .records(ReadResult(batch, of: run, from: 0, begin: run.firstIndex, scannedEnd: run.endIndex))
  }

  /// `begin` comes to stand behind what retention has removed.
  private func copyParked(
    _ shard: ShardAddress, _ ranges: [RecordRange], into builder: inout RecordRunBuilder, begin: inout RecordIndex,
    raw: inout RecordRun?
  ) throws(StoreError) {
    for range in ranges {
      var index = range.first
      while index < range.end {
        if raw.map({ index < $0.firstIndex || index >= $0.endIndex || $0.isSparse }) ?? true {
          let read = try store.read(
            shard, from: index, countLimit: 1, payloadByteLimit: 1, recordOverheadBytes: recordOverhead,
            readAheadBytes: 0, recycling: raw.take())
          guard case .records(let found) = read else {
            begin = max(begin, ranges[ranges.count - 1].end)
            return
          }
          raw = found.run
          begin = max(begin, found.run.firstIndex)
          guard found.run.firstIndex <= index else {
            // Retention came in between, if there is something already: what is left of it is read next time.
            if builder.count > 0 { return }
            index = found.run.firstIndex
            continue
          }
        }
        guard let run = raw, builder.append(recordAt: Int(run.firstIndex.distance(to: index)), of: run) else { return }
        index = index.advanced(by: 1)
      }
    }
  }
}

/// Leaves out the records of parked keys, of those that the lane takes.
struct ParkedSelection: RecordSelecting {
  var own: (any RecordSelecting)?
  let keys: ParkedKeySet

  mutating func verdict(on record: borrowing RecordView) -> SelectionVerdict {
    var taken = SelectionVerdict.taken
    if var selection = own {
      let verdict = selection.verdict(on: record)
      own = selection
      taken = verdict
      if !verdict.isTaken { return verdict }
    }
    let key = PartitionKeyHash(record.partitionKeyHash)
    return keys.contains(key) ? .parked(key) : taken
  }
}
