import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// The memory of a process and of those that it started: as their control group has it, or as the kernel counts resident
/// pages.
///
/// Resident pages that several of them share count for each. Where there is no control group they are looked at all the
/// time: `RLIMIT_AS` would end runtimes that only reserve addresses, such as Node's and Go's.
struct MemoryUse {
  private let pid: pid_t
  private let group: MemoryGroups.Group?
  /// Whether the kernel sees to the limit. A process joins its group a moment after it was started, or never.
  private var isKernels = false
  private let pageBytes = Int64(sysconf(Int32(_SC_PAGESIZE)))
  /// The most that was seen, in bytes.
  private(set) var largest: Int64 = 0
  private var chunk = [UInt8](repeating: 0, count: 4_096)

  init(of pid: pid_t, in group: MemoryGroups.Group?) {
    self.pid = pid
    self.group = group
  }

  /// Whether the kernel has ended it for its memory.
  var ranOutOfMemory: Bool { group?.ranOutOfMemory ?? false }

  /// Looks, and gives what is used now; 0 where it is the kernel that sees to the limit.
  mutating func sample() -> Int64 {
    if !isKernels, let group { isKernels = group.isJoined }
    if isKernels {
      samplePeak()
      return 0
    }
    let now = resident(pid, depth: 0)
    largest = max(largest, now)
    return now
  }

  /// Looks at the peak that the kernel remembers: of the group, or else of the process itself.
  mutating func samplePeak() {
    if isKernels, let group {
      largest = max(largest, group.peakBytes)
      return
    }
    guard let text = read("/proc/\(pid)/status"), let line = text.range(of: "VmHWM:") else { return }
    let digits = text[line.upperBound...].drop { $0 == " " || $0 == "\t" }.prefix { $0.isNumber }
    if let kibibytes = Int64(digits) { largest = max(largest, kibibytes << 10) }
  }

  private mutating func resident(_ pid: pid_t, depth: Int) -> Int64 {
    guard let statistics = read("/proc/\(pid)/statm") else { return 0 }
    let fields = statistics.split(separator: " ", maxSplits: 2)
    var sum = fields.count > 1 ? (Int64(fields[1]) ?? 0) * pageBytes : 0
    // A function that starts others mostly starts few; deeper than this nobody hides by accident.
    guard depth < 8, let children = read("/proc/\(pid)/task/\(pid)/children"), !children.isEmpty else { return sum }
    for child in children.split(separator: " ") {
      if let id = pid_t(child) { sum += resident(id, depth: depth + 1) }
    }
    return sum
  }

  /// A file of /proc, up to 4 KiB.
  private mutating func read(_ path: String) -> String? {
    let handle = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard handle >= 0 else { return nil }
    defer { close(handle) }
    guard case .bytes(let count) = SystemCall.read(handle, into: &chunk) else { return nil }
    return String(decoding: chunk[..<count], as: UTF8.self)
  }
}
