internal import LMDB
internal import Locks
internal import StreamModel

/// What the writer shows to everyone.
final class WriterFace: Sendable {
  let catalog: Monitor<Catalog>
  let observers = Monitor<[UInt64: @Sendable (CommitNotice) -> Void]>([:])
  /// What was refused, see ``StoreLoad``.
  let refusals = Monitor<[StoreLoad.Reason: Int]>([:])
  /// Why the last background step or sync failed; `nil` once one succeeded.
  let backgroundFailure = Monitor<StoreError?>(nil)

  init(catalog: Catalog) {
    self.catalog = Monitor(catalog)
  }
}

/// The one that changes the store: takes what is in the mailbox, makes one transaction of it, commits once and answers
/// all. On a thread of its own, or in its place on that of a caller that finds it asleep: see ``Mailbox``.
final class StoreWriter: @unchecked Sendable {
  // Unchecked because of the variables: only whoever has the writer's place touches them once `run()` has begun, and the
  // mailbox gives it to one at a time.
  let environment: Environment
  let layout: StoreLayout
  let options: StoreOptions
  let mailbox: Mailbox
  let face: WriterFace
  /// As of the last commit.
  private(set) var catalog: Catalog
  private(set) var counters: Counters
  private(set) var tails: [ShardAddress: ShardTail]
  var smallBlocks = SmallBlocks()
  private(set) var inbox: Inbox
  private var deletions: [StreamNumber]
  /// Mappings that were deleted and have entries in their tables.
  private var tableDeletions: [MappingNumber]
  /// How long the last transaction took, in nanoseconds.
  private var transactionNanoseconds: Int64 = 0
  /// When the next sync is due, in nanoseconds of monotonic time; `nil` if there is nothing to sync.
  private var syncDue: Int64?
  /// Why the last sync failed. Nothing is taken in until one succeeds.
  private var syncFailure: LMDBError?
  /// When to try background work again after it failed.
  private var idleRetry: Int64?
  private static let idleRetryNanoseconds: Int64 = 1_000_000_000
  /// The most bytes that a caller writes in place of the thread. With eight producers it pays for puts of one record,
  /// and no more for puts of ten: those are better written together.
  private static let lendingByteLimit = 2 << 10

  init(environment: Environment, layout: StoreLayout, options: StoreOptions) throws(LMDBError) {
    self.environment = environment
    self.layout = layout
    self.options = options
    mailbox = Mailbox(
      byteLimit: options.waitingByteLimit, entryLimit: options.waitingCommandLimit,
      lendingByteLimit: options.durability == .commit ? 0 : Self.lendingByteLimit)
    let found = try StoreFindings(environment: environment, layout: layout)
    catalog = found.catalog
    counters = found.counters
    tails = found.tails
    inbox = found.inbox
    deletions = found.catalog.streams.values.filter(\.isBeingDeleted).map(\.number).sorted()
    tableDeletions =
      try layout.tables.map { table throws(LMDBError) in
        try Self.orphans(of: table, found.catalog, in: environment)
      } ?? []
    face = WriterFace(catalog: found.catalog)
  }

  /// Works until the mailbox is closed and empty.
  func run() {
    var isClosed = false
    while !isClosed {
      let taken = mailbox.take(deadline: deadline, company: company)
      isClosed = taken.isClosed
      process(taken.entries)
      syncIfDue(now: isClosed ? .max : monotonicNanoseconds())
      if taken.isIdle { workWhileIdle() }
    }
  }

  /// Takes in an entry whose caller waits for the answer and holds no lock: it may be written and answered before this
  /// returns.
  func receive(_ entry: MailboxEntry) -> StoreError? {
    switch mailbox.putOrBorrow(entry) {
    case .refused(let error): return error
    case .waiting: return nil
    case .lent(let entries):
      process(entries)
      mailbox.giveBack(deadline: deadline)
      return nil
    }
  }

  /// How long to wait for those that will come again, in nanoseconds. Producers that were answered together come back
  /// within that time; whoever is late would make two halves of them that wait for each other's syncs from then on.
  private var company: Int64 {
    let share = min(transactionNanoseconds / 4, 100_000)
    return share < 20_000 ? 0 : share
  }

  /// When to stop waiting for entries.
  private var deadline: Int64? {
    var due = syncDue ?? .max
    if let idleRetry {
      due = min(due, idleRetry)
    } else if !deletions.isEmpty || !tableDeletions.isEmpty {
      due = 0
    } else if smallBlocks.isWorthMerging || isInboxWorthEmptying {
      due = min(due, monotonicNanoseconds() + SmallBlocks.quietNanoseconds)
    }
    return due == .max ? nil : due
  }

  /// Divides what was taken into transactions of bounded size.
  private func process(_ entries: [MailboxEntry]) {
    var group: [MailboxEntry] = []
    var bytes = 0
    for entry in entries {
      let size = entry.byteCount
      if bytes + size > options.transactionByteLimit, !group.isEmpty {
        transact(group)
        group = []
        bytes = 0
      }
      group.append(entry)
      bytes += size
    }
    if !group.isEmpty { transact(group) }
  }

  /// Makes one transaction of `group` and answers. When it fails for want of room it is lost as a whole, and so the
  /// small ones are tried again first, together and then alone; appends are tried one by one behind them: checkpoints
  /// get the room that is left.
  private func transact(_ group: [MailboxEntry]) {
    if let syncFailure {
      for entry in group { face.refuse(entry, StoreError(syncFailure)) }
      return
    }
    do throws(LMDBError) {
      let begun = monotonicNanoseconds()
      let draft = try attempt(group)
      transactionNanoseconds = monotonicNanoseconds() - begun
      settle(draft)
      return
    } catch {
      let isAboutRoom = error == .mapFull || error == .diskFull
      guard isAboutRoom, group.count > 1 else {
        for entry in group { face.refuse(entry, StoreError(error)) }
        return
      }
    }
    let commands = group.filter { if case .command = $0 { true } else { false } }
    let appends = group.filter { if case .append = $0 { true } else { false } }
    if !appends.isEmpty, !commands.isEmpty {
      transact(commands)
    } else {
      for command in commands { transact([command]) }
    }
    for append in appends { transact([append]) }
  }

  private func attempt(_ group: [MailboxEntry]) throws(LMDBError) -> WriterDraft {
    let byteCount = group.reduce(0) { $0 + $1.byteCount }
    let isSmall = byteCount + BlockHeader.byteCount <= min(Inbox.transactionByteLimit, options.blockByteLimit)
    var draft = WriterDraft(
      now: options.now(), catalog: catalog, counters: counters, inbox: inbox, isSmall: isSmall)
    try refuseForWantOfRoom(byteCount)
    // What is asked for must not fail because of what is not urgent.
    var mergesOverdue = smallBlocks.isOverdue
    if mergesOverdue { mergesOverdue = try hasRoom(for: options.blockByteLimit) }
    try environment.write { transaction throws(LMDBError) in
      if !isSmall { try emptyInbox(of: &draft, in: &transaction) }
      for entry in group {
        switch entry {
        case .append(let body, let completion):
          draft.answers.append(.append(completion, try append(body, to: &draft, in: &transaction)))
        case .command(let command, _, let completion):
          draft.answers.append(.command(completion, try carryOut(command, on: &draft, in: &transaction)))
        }
      }
      try putOpenBlocks(of: &draft, in: &transaction)
      try putLanes(of: draft, in: &transaction)
      try putCounters(of: draft, in: &transaction)
      if mergesOverdue { try mergeSmallBlocks(in: &transaction) }
    }
    return draft
  }

  /// The draft has become true.
  private func settle(_ draft: WriterDraft) {
    if options.durability != .commit, syncDue == nil { syncDue = nextSync() }
    counters = draft.counters
    inbox = draft.inbox
    tails.merge(draft.tails) { $1 }
    if options.mergesSmallBlocks {
      for (address, first) in draft.smallBlocks { smallBlocks.add(address, first: first) }
    }
    if draft.changesCatalog {
      catalog = draft.catalog
      face.catalog.withLock { $0 = draft.catalog }
      deletions.append(contentsOf: draft.deletedStreams)
      tableDeletions.append(contentsOf: draft.deletedMappings)
    }
    if draft.changesCatalog || !draft.tails.isEmpty {
      tell(draft.notice)
    }
    for answer in draft.answers { answer.send() }
  }

  private func tell(_ notice: CommitNotice) {
    for observer in face.observers.withLock({ Array($0.values) }) { observer(notice) }
  }

  /// What can be done when nobody waits: one small step, so that whoever comes does not wait long.
  private func workWhileIdle() {
    if let idleRetry, idleRetry > monotonicNanoseconds() { return }
    do throws(LMDBError) {
      if let stream = deletions.first {
        if try removeSome(of: stream) {
          deletions.removeFirst()
          tails = tails.filter { $0.key.stream != stream }
          catalog.remove(stream)
          let catalog = catalog
          face.catalog.withLock { $0 = catalog }
          tell(CommitNotice(shards: [], changesCatalog: true))
        }
      } else if isInboxWorthEmptying {
        try refuseForWantOfRoom(Inbox.byteLimit)
        let small = try environment.write { transaction throws(LMDBError) in try emptyInbox(in: &transaction) }
        inboxWasEmptied(leaving: small)
      } else if let mapping = tableDeletions.first, let table = layout.tables {
        if try removeSomeEntries(of: mapping, in: table) { tableDeletions.removeFirst() }
      } else if smallBlocks.isWorthMerging {
        // The old blocks make room only when the transactions after this one may have it.
        try refuseForWantOfRoom(options.blockByteLimit)
        try environment.write { transaction throws(LMDBError) in try mergeSmallBlocks(in: &transaction) }
      }
      if options.durability != .commit, syncDue == nil { syncDue = nextSync() }
      if idleRetry != nil { face.backgroundFailure.withLock { $0 = nil } }
      idleRetry = nil
    } catch {
      // Nothing was lost: the step is tried again. A pile of small blocks that was taken stays as it is.
      idleRetry = monotonicNanoseconds() + Self.idleRetryNanoseconds
      face.backgroundFailure.withLock { $0 = StoreError(error) }
    }
    options.afterBackgroundStep?()
  }

  private var isInboxWorthEmptying: Bool { options.mergesSmallBlocks && inbox.isWorthEmptying }

  /// A transaction without a draft has emptied the inbox, and was committed.
  func inboxWasEmptied(leaving small: [(ShardAddress, RecordIndex)]) {
    inbox.wasEmptied()
    guard options.mergesSmallBlocks else { return }
    for (address, first) in small { smallBlocks.add(address, first: first) }
  }

  private func nextSync() -> Int64? {
    guard case .interval(let milliseconds) = options.durability else { return nil }
    return monotonicNanoseconds() + Int64(max(milliseconds, 1)) * 1_000_000
  }

  private func syncIfDue(now: Int64) {
    let isDue = syncDue.map { $0 <= now } ?? (now == .max && options.durability != .commit)
    guard isDue else { return }
    do throws(LMDBError) {
      try environment.sync()
      syncDue = nil
      if syncFailure != nil { face.backgroundFailure.withLock { $0 = nil } }
      syncFailure = nil
    } catch {
      syncFailure = error
      face.backgroundFailure.withLock { $0 = StoreError(error) }
      syncDue = nextSync()
    }
  }

  /// Room that appends leave for checkpoints and failure entries.
  private var reservedBytes: Int { min(4 << 20, environment.greatestBytes / 16) }

  /// Refuses appends, and work in the background that takes room, before the last page is gone. Near the end it counts
  /// the free pages, which costs a walk.
  private func refuseForWantOfRoom(_ byteCount: Int) throws(LMDBError) {
    guard try !hasRoom(for: byteCount) else { return }
    throw environment.greatestBytes < options.mapBytes ? .diskFull : .mapFull
  }

  private func hasRoom(for byteCount: Int) throws(LMDBError) -> Bool {
    guard byteCount > 0 else { return true }
    // A page of each table and its way down, besides the records, and what may have to leave the inbox.
    let bytes = byteCount + inbox.byteCount
    let needed = bytes + bytes / 8 + (64 << 10)
    let used = environment.usedBytes
    guard used + needed + reservedBytes > environment.greatestBytes else { return true }
    environment.makeRoom(for: needed + reservedBytes)
    return try used - environment.freeBytes() + needed + reservedBytes <= environment.greatestBytes
  }
}

/// What a writer finds when it opens a store.
struct StoreFindings {
  var catalog: Catalog
  var counters = Counters()
  var tails: [ShardAddress: ShardTail] = [:]
  var inbox = Inbox()

  init(environment: Environment, layout: StoreLayout) throws(LMDBError) {
    var counters = Counters()
    var tails: [ShardAddress: ShardTail] = [:]
    var inbox = Inbox()
    catalog = try environment.read { transaction throws(LMDBError) in
      let catalog = try Catalog(reading: transaction, layout: layout)
      counters.nextStream = try UInt32(transaction.number(MetaName.nextStream, layout) ?? 1)
      counters.nextMapping = try UInt32(transaction.number(MetaName.nextMapping, layout) ?? 1)
      counters.nextFailure = try transaction.number(MetaName.nextFailure, layout) ?? 1
      counters.nextAudit = try transaction.number(MetaName.nextAudit, layout) ?? 1
      let fresh = try transaction.inbox(layout)
      inbox = fresh.inbox
      var cursor = try transaction.cursor(in: layout.blocks)
      for stream in catalog.streams.keys {
        for shard in catalog.shards(of: stream) {
          let tail =
            if let tail = fresh.tails[shard.address] { tail } else { try ShardTail(of: shard, at: &cursor) }
          tails[shard.address] =
            if let tail { tail } else { try transaction.tail(behindDamageOf: shard, layout) }
        }
      }
      return catalog
    }
    self.counters = counters
    self.tails = tails
    self.inbox = inbox
  }
}

extension ShardTail {
  /// Finds the end of `shard` from its last block; `nil` if that is damaged.
  fileprivate init?(of shard: ShardInfo, at cursor: inout Cursor) throws(LMDBError) {
    self.init(next: shard.firstAvailable, lastArrival: shard.trimmedThrough)
    guard try cursor.seek(atOrBefore: Key(block: shard.address, RecordIndex(.max))),
      cursor.key.isBlock(of: shard.address)
    else { return }
    let first = cursor.key.blockIndex
    let verified = unsafe cursor.value.withUnsafeBytes {
      unsafe BlockHeader(verifying: $0, address: shard.address, firstIndex: first)
    }
    guard let verified else { return nil }
    next = verified.endIndex
    lastArrival = verified.lastArrival
  }
}

extension ReadTransaction {
  /// A number of the meta table.
  func number(_ name: Key, _ layout: StoreLayout) throws(LMDBError) -> UInt64? {
    guard var reader = try value(name, in: layout.meta) else { return nil }
    return try reader.read(UInt64.self)
  }
}
