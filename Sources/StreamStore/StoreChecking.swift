internal import LMDB
public import StreamModel

/// What a check of a whole store found.
public struct StoreReport: Hashable, Sendable {
  public var blocks: UInt64 = 0
  public var records: UInt64 = 0
  /// Bytes of blocks, heads included.
  public var bytes: UInt64 = 0
  /// The names of the streams whose entries can be read.
  public var streamNames: [StreamNumber: String] = [:]
  public var problems: [StoreProblem] = []
}

/// Something that is not as it should be.
public struct StoreProblem: Hashable, Sendable, CustomStringConvertible {
  /// The shard, if it is about one.
  public var address: ShardAddress?
  /// The first record of the block, if it is about one.
  public var block: RecordIndex?
  public var what: String

  public var description: String {
    let place = address.map { "stream \($0.stream.rawValue), \($0.shard)" } ?? "store"
    return place + (block.map { ", block at record \($0.rawValue)" } ?? "") + ": " + what
  }
}

extension StreamStore {
  /// Reads everything: each block's place, checksum, records and neighbours, and every entry of the other tables.
  /// Works beside a writer, in short reads. `progress` hears the counts so far, some hundred blocks apart.
  public func check(progress: (StoreReport) -> Void = { _ in }) throws(StoreError) -> StoreReport {
    var report = StoreReport()
    let shards = try reading { transaction throws(LMDBError) in
      try transaction.checkCatalog(layout, &report)
    }
    for address in shards {
      var check = ShardCheck(address: address)
      var isDone = false
      while !isDone {
        isDone = try reading { transaction throws(LMDBError) in
          try check.advance(in: transaction, layout: layout, report: &report)
        }
        progress(report)
      }
    }
    try reading { transaction throws(LMDBError) in try transaction.checkSmallTables(layout, &report) }
    progress(report)
    return report
  }
}

extension ReadTransaction {
  /// Reads all streams, shards and mappings; the shards whose blocks can be looked at, in the order of their keys.
  fileprivate func checkCatalog(
    _ layout: StoreLayout, _ report: inout StoreReport
  ) throws(LMDBError) -> [ShardAddress] {
    var leaving: Set<StreamNumber> = []
    var names: [StreamNumber: String] = [:]
    try check(layout.streams, &report) { key, reader throws(LMDBError) in
      let stream = try StreamInfo(number: StreamNumber(key.number(at: 0)), decoding: reader)
      if stream.isBeingDeleted { leaving.insert(stream.number) } else { names[stream.number] = stream.name }
    }
    report.streamNames = names
    var addresses: [ShardAddress] = []
    try check(layout.shards, &report) { key, reader throws(LMDBError) in
      let shard = try ShardInfo(address: key.shardAddress, decoding: reader)
      if !leaving.contains(shard.address.stream) { addresses.append(shard.address) }
    }
    try check(layout.mappings, &report) { key, reader throws(LMDBError) in
      _ = try MappingInfo(number: MappingNumber(key.number(at: 0)), decoding: reader)
    }
    return addresses
  }

  /// Reads every entry of the tables that hold neither blocks nor the catalog.
  fileprivate func checkSmallTables(_ layout: StoreLayout, _ report: inout StoreReport) throws(LMDBError) {
    try check(layout.meta, &report) { _, reader throws(LMDBError) in
      var reader = reader
      _ = try reader.read(UInt64.self)
    }
    try check(layout.lanes, &report) { _, reader throws(LMDBError) in _ = try LaneRecord(decoding: reader) }
    try check(layout.audit, &report) { _, reader throws(LMDBError) in _ = try AuditEntry(decoding: reader) }
    try check(layout.failureKeys, &report) { _, reader throws(LMDBError) in
      var reader = reader
      _ = try reader.read(UInt64.self)
    }
    if let parked = layout.parked {
      try check(parked, &report) { key, reader throws(LMDBError) in
        var reader = reader
        if key.isParkedKey { _ = try reader.readBytes() } else { _ = try [RecordRange](decoding: reader) }
      }
    }
    if let log = layout.parkedLog {
      try check(log, &report) { _, reader throws(LMDBError) in _ = try ParkedLogRow(decoding: reader) }
    }
    try checkTables(layout, &report)
    var counts: [UInt64: (first: RecordIndex, count: Int)] = [:]
    try check(layout.failures, &report) { key, reader throws(LMDBError) in
      let summary = try FailureSummary(number: key.number(at: 0), decoding: reader)
      counts[summary.number] = (summary.firstIndex, summary.count)
    }
    var unseen = Set(counts.keys)
    try check(layout.failurePayloads, &report) { key, reader throws(LMDBError) in
      let number: UInt64 = key.number(at: 0)
      unseen.remove(number)
      // Without its summary only the checksum can be verified, and that was done.
      guard let (first, count) = counts[number] else { return }
      _ = try FailurePayload.records(decoding: reader, firstIndex: first, count: count)
    }
    if let outbox = layout.outbox {
      var waiting: [UInt64] = []
      try check(outbox, &report) { key, reader throws(LMDBError) in
        _ = try OutboxValue(reading: reader)
        waiting.append(key.number(at: 4))
      }
      for number in waiting where try value(Key(number), in: layout.failures.database) == nil {
        report.problems.append(StoreProblem(what: "failure entry \(number) waits for its delivery and is not there"))
      }
    }
    // Rows that are missing or too many are written anew when they are needed.
    if let times = layout.failureTimes { try check(times, &report) { _, _ in } }
    // An entry that cannot be read is there all the same.
    for number in unseen.sorted() where try value(Key(number), in: layout.failurePayloads.database) == nil {
      report.problems.append(StoreProblem(what: "failure entry \(number): its records are missing"))
    }
    var inbox = try cursor(in: layout.inbox)
    while try inbox.next() {
      let key = inbox.key
      if !key.isOfInbox {
        report.problems.append(StoreProblem(what: "table inbox: a key has \(key.count) bytes and should have 24"))
      } else if try value(Key(shard: key.inboxAddress), in: layout.shards.database) == nil {
        report.problems.append(
          StoreProblem(
            address: key.inboxAddress, block: key.inboxIndex, what: "it is in the inbox, and its shard does not exist"))
      }
    }
  }

  /// Reads every entry of the tables of transactional handlers.
  private func checkTables(_ layout: StoreLayout, _ report: inout StoreReport) throws(LMDBError) {
    guard let table = layout.tables else { return }
    var cursor = try cursor(in: table)
    while try cursor.next() {
      do throws(LMDBError) {
        _ = try StoredTables.value(verifying: cursor.value, at: cursor.keyBytes)
      } catch {
        guard case .corrupted(let what) = error else { throw error }
        report.problems.append(StoreProblem(what: what))
      }
    }
  }

  /// Calls `body` with each entry that is what was written; the others are problems, and so is what `body` cannot read.
  private func check(
    _ table: SmallTable, _ report: inout StoreReport, _ body: (Key, ByteReader) throws(LMDBError) -> Void
  ) throws(LMDBError) {
    var cursor = try cursor(in: table)
    while try cursor.next() {
      do throws(LMDBError) {
        try body(cursor.key, try cursor.reader(in: table))
      } catch {
        guard case .corrupted(let what) = error else { throw error }
        report.problems.append(StoreProblem(what: what))
      }
    }
  }
}

/// Walks the blocks of one shard, some at a time. Between two steps a writer may trim or merge blocks: the walk goes on
/// at an index, not at a block.
private struct ShardCheck {
  let address: ShardAddress
  /// The index behind what was looked at.
  private var expected = RecordIndex.zero
  private var lastArrival = WallTime(milliseconds: .min)

  private static let blocksAtOnce = 256

  init(address: ShardAddress) {
    self.address = address
  }

  /// Looks at the next blocks; whether the shard is done.
  mutating func advance(
    in transaction: borrowing ReadTransaction, layout: StoreLayout, report: inout StoreReport
  ) throws(LMDBError) -> Bool {
    // A stream that was deleted meanwhile has nothing to check.
    guard let shard = try transaction.shard(address, layout) else { return true }
    expected = max(expected, shard.firstAvailable)
    var blocks = try transaction.blocks(of: address, layout)
    var isThere = try blocks.seek(holding: expected)
    var isBehindDamage = false
    for _ in 0..<Self.blocksAtOnce {
      guard isThere else {
        if let closing = shard.closing, closing.end != expected, !isBehindDamage {
          report.problems.append(problem(nil, "it was closed at record \(closing.end.rawValue) and ends elsewhere"))
        }
        return true
      }
      let first = blocks.firstIndex
      if first > expected, !isBehindDamage {
        report.problems.append(problem(first, "the records from \(expected.rawValue) on are missing before it"))
      }
      let check = unsafe blocks.value.withUnsafeBytes { unsafe BlockCheck($0, address, first) }
      if let what = check.problem { report.problems.append(problem(first, what)) }
      report.blocks += 1
      report.bytes += UInt64(blocks.value.byteCount)
      // Where a damaged block ends only the next one can tell.
      isBehindDamage = check.header == nil
      expected = first.advanced(by: 1)
      if let header = check.header {
        report.records += UInt64(header.count)
        if header.firstArrival < lastArrival {
          report.problems.append(problem(first, "its records arrived before those of the block before"))
        }
        lastArrival = header.lastArrival
        expected = header.endIndex
      }
      isThere = try blocks.next()
    }
    if isBehindDamage, isThere { expected = blocks.firstIndex }
    return false
  }

  private func problem(_ block: RecordIndex?, _ what: String) -> StoreProblem {
    StoreProblem(address: address, block: block, what: what)
  }
}

/// One block, looked at in every respect.
struct BlockCheck {
  /// `nil` if the block is damaged.
  private(set) var header: BlockHeader?
  private(set) var problem: String?

  init(_ block: UnsafeRawBufferPointer, _ address: ShardAddress, _ firstIndex: RecordIndex) {
    guard let header = unsafe BlockHeader(verifying: block, address: address, firstIndex: firstIndex) else {
      problem = "its checksum does not match"
      return
    }
    self.header = header
    let packed = unsafe UnsafeRawBufferPointer(rebasing: block[BlockHeader.byteCount...])
    let span = header.lastArrival.milliseconds - header.firstArrival.milliseconds
    var (offset, dataBytes, greatest, delta) = (0, 0, 0, UInt32(0))
    for _ in 0..<header.count {
      guard offset + RecordLayout.headerByteCount <= packed.count else {
        problem = "its records end before their count"
        return
      }
      let record = unsafe RecordHeader(at: packed.baseAddress.unsafelyUnwrapped + offset)
      if record.arrivalDelta < delta || Int64(record.arrivalDelta) > span { problem = "its arrivals step back" }
      delta = record.arrivalDelta
      dataBytes += record.dataByteCount
      greatest = max(greatest, record.byteCount)
      offset += record.byteCount
    }
    if offset != packed.count || dataBytes != header.dataByteCount || greatest != header.greatestRecordByteCount {
      problem = "its records are not what its head says"
    }
  }
}
