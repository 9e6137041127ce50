internal import Locks

/// Reads a file ahead of who looks for lines in it, block by block, on a thread of its own: copying out of the system's
/// memory takes a third of the time of a replay that does nothing.
@safe
final class BlocksAhead: Sendable {
  /// Bytes that follow those of the block before, behind a room that is left free: so a line that begins in one block
  /// and ends in the next one is made whole by copying its beginning.
  @safe
  struct Block {
    var memory: UnsafeMutableRawBufferPointer
    /// None at the end of the file.
    var count = 0
    var failure: RecordingFileError?

    static let room = 64 << 10
    static let byteLimit = 256 << 10

    init() { unsafe memory = .allocate(byteCount: Self.room + Self.byteLimit, alignment: 4_096) }

    /// Nothing follows it.
    var isLast: Bool { count == 0 }
  }

  private struct State {
    /// In the order of the file.
    var filled: [Block] = []
    /// Blocks whose bytes nobody needs any more.
    var spare: [Block] = []
    var blockCount = 0
    /// The thread waits until half of the blocks are spare: waking it costs time.
    var isFull = false
    var isStopped = false

    /// A block to fill; `nil` if there is none.
    mutating func blockToFill() -> Block? {
      if !spare.isEmpty, !isFull || spare.count >= blockLimit / 2 {
        isFull = false
        return spare.removeLast()
      }
      guard blockCount < blockLimit else {
        isFull = true
        return nil
      }
      blockCount += 1
      return Block()
    }
  }

  private enum Next {
    case fill(Block)
    case stop
  }

  private static let blockLimit = 8

  /// Either the thread waits because all blocks are filled, or the other side because none is: never both.
  private let state = Monitor(State())

  /// `nil` if the system gives no thread. `read` is that of the thread from here on: it fills the front of the memory
  /// that it is given and says how much of it; 0 at the end.
  init?(_ read: sending @escaping (UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int) {
    guard SystemThread.startDetached(named: "sluice-read", { [self] in unsafe run(read) }) else { return nil }
  }

  deinit {
    let blocks = state.withLock { $0.filled + $0.spare }
    for block in blocks { unsafe block.memory.deallocate() }
  }

  private func run(_ read: (UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int) {
    while true {
      let next = state.wait(deadline: nil) { state -> Next? in
        state.isStopped ? .stop : state.blockToFill().map { .fill($0) }
      }
      guard case .fill(var block) = next else { return }
      do throws(RecordingFileError) {
        block.count = unsafe try read(UnsafeMutableRawBufferPointer(rebasing: block.memory[Block.room...]))
      } catch {
        block.count = 0
        block.failure = error
      }
      state.withLock { $0.filled.append(block) }
      state.signal()
      if block.isLast { return }
    }
  }

  /// The block that follows, which is given back with ``reuse(_:)``, unless it is the last.
  func next() throws(RecordingFileError) -> Block {
    let found = state.wait(deadline: nil) { state -> Block? in
      guard let block = state.filled.first else { return nil }
      // The last one stays, for whoever asks again.
      return block.isLast ? block : state.filled.removeFirst()
    }
    guard let found else { preconditionFailure("a wait without a deadline ends with a value") }
    if let failure = found.failure { throw failure }
    return found
  }

  /// Its memory may be another one meanwhile.
  func reuse(_ block: Block) {
    guard unsafe block.memory.count == Block.room + Block.byteLimit else {
      unsafe block.memory.deallocate()
      return state.withLock { $0.blockCount -= 1 }
    }
    let wakes = state.withLock { state in
      state.spare.append(block)
      return state.isFull && state.spare.count >= Self.blockLimit / 2
    }
    if wakes { state.signal() }
  }

  /// Ends the thread when it has read what it reads.
  func stop() {
    state.withLock { $0.isStopped = true }
    state.signal()
  }
}
