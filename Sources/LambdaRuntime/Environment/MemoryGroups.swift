import CSpawn
import Foundation
import Locks

#if canImport(Glibc)
  import Glibc
#endif

/// Control groups (version 2) for the memory of execution environments, below the group that this process was given.
///
/// Only a group that was delegated is used: one that systemd marks so (`Delegate=`), or the root that a container sees.
/// A group that has a controller for its children may hold no processes of its own, so this process moves to one below it
/// first, and does so only where it is alone in it.
public struct MemoryGroups: Hashable, Sendable {
  /// The folder of the group that all others are made in.
  public let path: String

  /// The groups of this process; `nil` where none were delegated to it. The first call moves it.
  public static let ofThisProcess = MemoryGroups(
    mount: "/sys/fs/cgroup", membership: (try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)) ?? "",
    process: getpid(), isDelegated: isMarked)

  /// - Parameters:
  ///   - mount: where the file system of control groups is.
  ///   - membership: what `/proc/self/cgroup` says.
  ///   - isDelegated: whether the group with this folder is ours, besides the root of all that we see.
  init?(mount: String, membership: String, process: pid_t, isDelegated: (String) -> Bool) {
    // Of version 2; the controllers of version 1 have lines with numbers of their own.
    guard let line = membership.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else { return nil }
    let place = line.dropFirst("0::".count)
    let path = place == "/" ? mount : mount + place
    guard place == "/" || isDelegated(path), Self.words(of: path + "/cgroup.controllers").contains("memory"),
      Self.words(of: path + "/cgroup.procs") == ["\(process)"]
    else { return nil }
    self.path = path
    let own = path + "/worker"
    guard Self.make(own), Self.write("\(process)", to: own + "/cgroup.procs") else { return nil }
    guard Self.write("+memory", to: path + "/cgroup.subtree_control") else {
      _ = Self.write("\(process)", to: path + "/cgroup.procs")
      unsafe rmdir(own)
      return nil
    }
  }

  /// The group of one environment.
  struct Group {
    let path: String

    /// Joins the group and becomes the command, which is without a limit of the kernel's where it cannot join.
    func command(_ program: String, _ arguments: [String]) -> (program: String, arguments: [String]) {
      let script = #"{ echo 0 > "$0"; } 2>/dev/null; exec "$@""#
      return ("/bin/sh", ["sh", "-c", script, path + "/cgroup.procs", program] + arguments.dropFirst())
    }

    /// Whether somebody is in it.
    var isJoined: Bool { !words(of: path + "/cgroup.procs").isEmpty }

    /// The most that was used at once, in bytes, with what the kernel keeps of files; 0 where it does not tell.
    var peakBytes: Int64 { words(of: path + "/memory.peak").first.flatMap { Int64($0) } ?? 0 }

    /// Whether the kernel has killed it for its memory.
    var ranOutOfMemory: Bool {
      let words = words(of: path + "/memory.events")
      guard let place = words.firstIndex(of: "oom_kill"), place + 1 < words.count else { return false }
      return (Int64(words[place + 1]) ?? 0) > 0
    }

    /// Ends everything that is in it, also what has left its process group, and takes the group away if that is possible
    /// now: the kernel may need a moment.
    func remove() -> Bool {
      _ = write("1", to: path + "/cgroup.kill")
      return unsafe rmdir(path) == 0 || errno == ENOENT
    }
  }

  /// Groups that were made, and those that could not be taken away yet.
  private struct Made {
    var count = 0
    var left: [Group] = []
  }

  private static let made = Mutex(Made())

  /// A group that may use so many bytes, and no swap; `nil` if the kernel refuses.
  func group(memoryBytes: Int64) -> Group? {
    let (number, left) = Self.made.withLock { made in
      made.count += 1
      defer { made.left = [] }
      return (made.count, made.left)
    }
    for group in left { remove(group) }
    let group = Group(path: "\(path)/environment-\(getpid())-\(number)")
    guard Self.make(group.path) else { return nil }
    // Swap may be switched off, and there is no such file then.
    _ = Self.write("0", to: group.path + "/memory.swap.max")
    guard Self.write("\(memoryBytes)", to: group.path + "/memory.max"),
      // An environment is of one piece: without this a process that it started may be killed alone.
      Self.write("1", to: group.path + "/memory.oom.group")
    else {
      _ = group.remove()
      return nil
    }
    return group
  }

  func remove(_ group: Group) {
    if !group.remove() { Self.made.withLock { $0.left.append(group) } }
  }

  // MARK: Files

  private static func make(_ folder: String) -> Bool { unsafe mkdir(folder, 0o755) == 0 || errno == EEXIST }

  private static func words(of path: String) -> [String] {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return [] }
    return text.split(whereSeparator: \.isWhitespace).map(String.init)
  }

  /// In one call, as the kernel wants it.
  private static func write(_ text: String, to path: String) -> Bool {
    let handle = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
    guard handle >= 0 else { return false }
    defer { close(handle) }
    let bytes = Array((text + "\n").utf8)
    guard case .bytes(bytes.count) = unsafe bytes.withUnsafeBytes({ unsafe SystemCall.write(handle, $0) }) else {
      return false
    }
    return true
  }

  /// systemd marks what it delegates, for all to see, or for root.
  private static func isMarked(_ folder: String) -> Bool {
    ["user.delegate", "trusted.delegate"].contains { name in
      var value: UInt8 = 0
      return unsafe getxattr(folder, name, &value, 1) == 1 && value == UInt8(ascii: "1")
    }
  }
}
