import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// The memory of a process and of those that it started, as the kernel counts resident pages.
///
/// Pages that several of them share count for each. A limit of the kernel's own (a control group) would need rights that
/// a worker seldom has, and `RLIMIT_AS` ends runtimes that only reserve addresses, such as Node's and Go's.
struct MemoryUse {
  private let pid: pid_t
  private let pageBytes = Int64(sysconf(Int32(_SC_PAGESIZE)))
  /// The most that was seen, in bytes.
  private(set) var largest: Int64 = 0
  private var chunk = [UInt8](repeating: 0, count: 4_096)

  init(of pid: pid_t) {
    self.pid = pid
  }

  /// Looks, and gives what is used now.
  mutating func sample() -> Int64 {
    let now = resident(pid, depth: 0)
    largest = max(largest, now)
    return now
  }

  /// Looks at the peak that the kernel remembers of the process itself.
  mutating func samplePeak() {
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
