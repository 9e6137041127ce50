internal import Glibc

/// Grows the data file ahead of its end, in steps, so that small commits do not change the size of the file: a sync that
/// need not write a new size is about twice as fast.
struct FileGrowth: Sendable {
  /// The smallest and the greatest step. In between a step is a quarter of the file.
  static let smallestStepBytes = 4 << 20
  static let greatestStepBytes = 256 << 20

  private var allocatedBytes: Int
  /// Whether the last attempt to grow found no room.
  private(set) var isOutOfRoom = false

  init(fileBytes: Int) {
    allocatedBytes = fileBytes
  }

  /// Makes sure that there is room for a step's half behind `usedBytes`. Without room the file is left as it is: LMDB
  /// may still find free pages, and says so itself if it does not.
  mutating func grow(descriptor: Int32, usedBytes: Int, limitBytes: Int) {
    let step = min(max(usedBytes / 4, Self.smallestStepBytes), Self.greatestStepBytes)
    guard usedBytes + step / 2 > allocatedBytes else { return }
    let target = min((usedBytes + step + Self.smallestStepBytes - 1) & ~(Self.smallestStepBytes - 1), limitBytes)
    guard target > allocatedBytes else { return }
    var code: Int32
    repeat { code = posix_fallocate(descriptor, 0, off_t(target)) } while code == EINTR
    isOutOfRoom = code == ENOSPC || code == EFBIG || code == EDQUOT
    // A file system that cannot allocate ahead is not asked again at every commit.
    if code == 0 || !isOutOfRoom { allocatedBytes = target }
  }
}
