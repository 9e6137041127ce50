import Foundation
import Glibc
import LMDB
import Locks
import StreamModel
@testable import StreamStore
import Synchronization
import Testing

/// Whoever finds the writer asleep writes in its place, where that does not take the disk.
@Suite("The writer's place is lent", .timeLimit(.minutes(10)))
struct LendingTests {
  @Test("one at a time has the place, and what each put comes once and in order")
  func exclusive() async {
    let mailbox = Mailbox(byteLimit: 1 << 20, entryLimit: 1 << 20, lendingByteLimit: 1 << 10)
    let log = Log()
    let writer = Thread {
      var isClosed = false
      while !isClosed {
        // With a deadline each time, so that ends of sleeps and loans meet.
        let taken = mailbox.take(deadline: monotonicNanoseconds() + 20_000)
        log.process(taken.entries, isLent: false)
        isClosed = taken.isClosed
      }
      log.isOver.withLock { $0 = true }
      log.isOver.signal()
    }
    writer.start()
    await withTaskGroup(of: Void.self) { group in
      for producer in 0..<4 {
        group.addTask {
          for number in 0..<5_000 {
            let isPatient = number % 3 == 0
            let entry = MailboxEntry.command(
              .deleteFailure(UInt64(producer * 1_000_000 + number)), isPatient: isPatient, { _ in })
            if isPatient {
              #expect(mailbox.put(entry, bounded: false) == nil)
            } else if case .lent(let entries) = mailbox.putOrBorrow(entry) {
              log.process(entries, isLent: true)
              mailbox.giveBack(deadline: monotonicNanoseconds() + Int64(number % 40) * 1_000)
            }
            if number % 16 == 0 { await Task.yield() }
          }
        }
      }
    }
    mailbox.close()
    _ = log.isOver.wait(deadline: nil) { $0 ? true : nil }
    #expect(log.overlaps.load(ordering: .relaxed) == 0)
    #expect(log.borrowed.load(ordering: .relaxed) > 0)
    let numbers = log.numbers.withLock { $0 }
    for producer in 0..<4 {
      let own = numbers.filter { $0 / 1_000_000 == producer }
      #expect(own == (0..<5_000).map { UInt64(producer * 1_000_000 + $0) })
    }
  }

  @Test("a loan that ends with an earlier deadline wakes the sleeper, which finds nothing and is not idle")
  func earlierDeadline() async {
    let mailbox = Mailbox(byteLimit: 1 << 20, entryLimit: 1 << 20, lendingByteLimit: 1 << 10)
    let found = Monitor<Mailbox.Taken?>(nil)
    let writer = Thread {
      let taken = mailbox.take(deadline: nil)
      found.withLock { $0 = taken }
      found.signal()
    }
    writer.start()
    while mailbox.borrowed() == nil { await Task.yield() }
    mailbox.giveBack(deadline: monotonicNanoseconds())
    let taken = found.wait(deadline: nil) { $0 }
    #expect(taken?.entries.isEmpty == true)
    #expect(taken?.isIdle == false)
    #expect(taken?.isClosed == false)
  }

  @Test(
    "small puts are written by those who put them, unless that takes the disk", arguments: [Durability.system, .commit])
  func ownThread(durability: Durability) async throws {
    let folder = TemporaryStore()
    let store = try folder.open(durability: durability)
    let stream = try store.create()
    let writing = Mutex<pthread_t?>(nil)
    _ = store.observeCommits { _ in writing.withLock { $0 = pthread_self() } }
    try await onThread {
      var own = 0
      for number in 0..<500 where durability == .system && own == 0 || number < 20 {
        _ = try store.append(number..<(number + 1), to: stream.number)
        if writing.withLock({ $0 }) == pthread_self() { own += 1 }
      }
      if durability == .system { #expect(own > 0) } else { #expect(own == 0) }
      own = 0
      for number in 0..<20 {
        _ = try store.append(number..<(number + 1), to: stream.number, byteCount: 20 << 10)
        if writing.withLock({ $0 }) == pthread_self() { own += 1 }
      }
      #expect(own == 0)
    }
    #expect(try store.check().problems.isEmpty)
  }

  /// Runs `body` on a thread of its own, which it may block.
  private func onThread(_ body: @escaping @Sendable () throws -> Void) async throws {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
      Thread { continuation.resume(with: Result { try body() }) }.start()
    }
  }

  /// What was processed, and whether two ever did at once.
  private final class Log: Sendable {
    let inside = Atomic<Int>(0)
    let overlaps = Atomic<Int>(0)
    let borrowed = Atomic<Int>(0)
    let numbers = Mutex<[UInt64]>([])
    let isOver = Monitor(false)

    func process(_ entries: [MailboxEntry], isLent: Bool) {
      if inside.add(1, ordering: .relaxed).newValue != 1 { overlaps.add(1, ordering: .relaxed) }
      if isLent { borrowed.add(1, ordering: .relaxed) }
      numbers.withLock { numbers in
        for case .command(.deleteFailure(let number), _, _) in entries { numbers.append(number) }
      }
      inside.subtract(1, ordering: .relaxed)
    }
  }
}

extension Mailbox {
  /// Tries to borrow the writer's place for one small entry; `nil` if it does not sleep, and then nothing was put.
  fileprivate func borrowed() -> [MailboxEntry]? {
    guard isWriterAsleep, case .lent(let entries) = putOrBorrow(.command(.deleteFailure(1), { _ in })) else {
      return nil
    }
    return entries
  }
}
