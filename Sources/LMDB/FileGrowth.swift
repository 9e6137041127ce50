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
}
