import Foundation

/// The largest resident memory that any process below this one has had, as far as it was looked at while it lived.
struct ChildMemory {
  private(set) var peakBytes: Int64?
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
      // Gone in the meantime: then there is nothing to see.
      let children = (try? String(contentsOfFile: "/proc/\(process)/task/\(task)/children", encoding: .utf8)) ?? ""
      for child in children.split(separator: " ") {
        note(String(child))
        look(below: String(child), depth: depth + 1)
      }
    }
  }

  private mutating func note(_ process: String) {
    guard let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8),
      let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
      let kibibytes = line.split(separator: " ", omittingEmptySubsequences: true).dropLast().last.flatMap({ Int64($0) })
    else { return }
    peakBytes = max(peakBytes ?? 0, kibibytes << 10)
  }
}
