import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// The largest resident memory that any process below this one has had, as far as it was looked at while it lived.
struct ChildMemory {
  private(set) var peakBytes: Int64?
  private var chunk = [UInt8](repeating: 0, count: 4_096)
  private var lookedAt: ContinuousClock.Instant?

  private static let interval = Duration.milliseconds(100)
  private static let depthLimit = 8

  /// Looks if it has not done so for a while.
  mutating func sample(isForced: Bool = false) {
    let now = ContinuousClock.now
    if let lookedAt, !isForced, now - lookedAt < Self.interval { return }
    lookedAt = now
    look(below: "self", depth: 0)
  }

  private mutating func look(below process: String, depth: Int) {
    guard depth < Self.depthLimit else { return }
    let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task")) ?? []
    for task in tasks {
      for child in read("/proc/\(process)/task/\(task)/children").split(separator: " ") {
        note(String(child))
        look(below: String(child), depth: depth + 1)
      }
    }
  }

  private mutating func note(_ process: String) {
    guard let line = read("/proc/\(process)/status").split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
      let kibibytes = line.split(separator: " ", omittingEmptySubsequences: true).dropLast().last.flatMap({ Int64($0) })
    else { return }
    peakBytes = max(peakBytes ?? 0, kibibytes << 10)
  }

  /// A file of /proc. Empty if its process is gone in the meantime: then there is nothing to see.
  ///
  /// Not with Foundation, which loses 3 KiB of memory with each empty file that it reads.
  private mutating func read(_ path: String) -> String {
    let handle = open(path, O_RDONLY | O_CLOEXEC)
    guard handle >= 0 else { return "" }
    defer { close(handle) }
    var text: [UInt8] = []
    while true {
      let count = Glibc.read(handle, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return String(decoding: text, as: UTF8.self) }
      text += chunk[..<count]
    }
  }
}
