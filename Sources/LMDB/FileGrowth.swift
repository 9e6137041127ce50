internal import Glibc

/// Grows the data file ahead of its end, in steps, so that small commits do not change the size of the file: a sync that
/// need not write a new size is about twice as fast.
///
/// Blocks that were allocated and never written are not enough for that: the first sync of each has to note in the
/// journal of the file system that it was. While commits are small, zeros are written ahead of them, and one note serves
/// for many commits.
struct FileGrowth: Sendable {
  /// The smallest and the greatest step. In between a step is a quarter of the file.
  static let smallestStepBytes = 4 << 20
  static let greatestStepBytes = 256 << 20

  /// How much is written ahead with zeros at once, and how near to its end the pages in use come before the next.
  static let filledStepBytes = 256 << 10
  static let filledMarginBytes = 64 << 10

  private var allocatedBytes: Int
  /// Up to here the file was written, be it with zeros.
  private var filledBytes: Int
  /// The end of the pages in use when ``fill(descriptor:usedBytes:)`` was called last.
  private var usedBytesBefore: Int
  /// Whether the last attempt to grow found no room.
  private(set) var isOutOfRoom = false

  init(fileBytes: Int, usedBytes: Int) {
    allocatedBytes = fileBytes
    filledBytes = usedBytes
    usedBytesBefore = usedBytes
  }

  /// The smallest step that is tried when there is no room for a larger one.
  static let leastStepBytes = 256 << 10

  /// Makes sure that there is room for half a step, or for `neededBytes`, behind `usedBytes`. Without room for a whole
  /// step it takes what it gets: LMDB may still find free pages, and says so itself if it does not.
  mutating func grow(descriptor: Int32, usedBytes: Int, neededBytes: Int, limitBytes: Int) {
    let step = min(max(usedBytes / 4, Self.smallestStepBytes), Self.greatestStepBytes)
    guard usedBytes + max(step / 2, neededBytes) > allocatedBytes else { return }
    var target = min(usedBytes + max(step, neededBytes), limitBytes)
    isOutOfRoom = false
    while target > allocatedBytes {
      var code: Int32
      repeat {
        code = posix_fallocate(descriptor, off_t(allocatedBytes), off_t(target - allocatedBytes))
      } while code == EINTR
      // A file system that cannot allocate ahead at all is not asked again at every commit.
      guard code == ENOSPC || code == EFBIG || code == EDQUOT else {
        allocatedBytes = target
        return
      }
      isOutOfRoom = true
      target -= max((target - allocatedBytes) / 2, Self.leastStepBytes)
    }
  }

  /// Writes zeros behind the pages in use, if the last transaction took a few pages there: large ones write so much at
  /// once that the note does not matter, and everything would be written twice.
  ///
  /// Only while the caller holds the lock of the writer, and before anything of its transaction is written: what lies
  /// behind `usedBytes` must belong to nobody.
  mutating func fill(descriptor: Int32, usedBytes: Int) {
    let growth = usedBytes - usedBytesBefore
    usedBytesBefore = usedBytes
    filledBytes = max(filledBytes, usedBytes)
    guard growth > 0, growth <= Self.filledMarginBytes, usedBytes + Self.filledMarginBytes > filledBytes else { return }
    let end = min(filledBytes + Self.filledStepBytes, allocatedBytes)
    while filledBytes < end {
      let count = min(end - filledBytes, Zeros.byteCount)
      let written = unsafe pwrite(descriptor, Zeros.bytes, count, off_t(filledBytes))
      // This only saves time. An error that matters meets the commit too, and is reported there.
      guard written > 0 else {
        filledBytes = end
        return
      }
      filledBytes += written
    }
  }
}

/// Zeros to write.
private enum Zeros {
  static let byteCount = 64 << 10
  // Never written to and never freed.
  nonisolated(unsafe) static let bytes: UnsafeRawPointer = {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 4096)
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    return UnsafeRawPointer(memory)
  }()
}
