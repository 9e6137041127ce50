import Foundation
import Locks
import StreamModel

/// Kills the groups of processes that are left when this process has ended without doing so, `kill -9` included.
///
/// A shell of a few lines, in a session of its own, reads from a pipe which groups there are. Only this process holds the
/// other end of that pipe, so its end is the sign; the shell then kills what it knows and ends as well. `setpriv` does
/// this for the process that was started, and at once; this does it for what that one has started.
final class ProcessGuard: Sendable {
  /// One for the whole process.
  static let shared = ProcessGuard()

  private struct State {
    var shell: SpawnedProcess?
    /// Those that have not been reaped.
    var groups: Set<pid_t> = []
    /// There is no shell to start. Then it stays that way.
    var isMissing = false
  }

  private let state = Mutex(State())

  /// A group goes on being watched until ``forget(_:)``. Calls come from threads that block the signal of a broken pipe.
  func watch(_ group: pid_t) {
    state.withLock { state in
      state.groups.insert(group)
      Self.tell("+ \(group)\n", &state)
    }
  }

  /// For a group of which nothing is left, while its id is still taken.
  func forget(_ group: pid_t) {
    state.withLock { state in
      state.groups.remove(group)
      Self.tell("- \(group)\n", &state)
    }
  }

  /// Where the shell is gone, or does not listen, the next one is told everything.
  private static func tell(_ line: String, _ state: inout State) {
    if let shell = state.shell, write(line, to: shell) { return }
    end(&state)
    guard !state.isMissing else { return }
    do throws(HandlerFailure) {
      let shell = try SpawnedProcess(command, .input, isGuarded: false)
      state.shell = shell
      if !state.groups.allSatisfy({ write("+ \($0)\n", to: shell) }) { end(&state) }
    } catch {
      state.isMissing = true
    }
  }

  /// Killed first: at the end of its input it would kill what runs.
  private static func end(_ state: inout State) {
    guard let shell = state.shell.take() else { return }
    _ = kill(shell.pid, SIGKILL)
    if let input = shell.input { close(input) }
    _ = SystemCall.reap(shell.pid)
  }

  private static func write(_ line: String, to shell: SpawnedProcess) -> Bool {
    guard let input = shell.input else { return false }
    let bytes = Array(line.utf8)
    // A line is shorter than what a pipe takes in one piece.
    guard case .bytes(bytes.count) = unsafe bytes.withUnsafeBytes({ unsafe SystemCall.write(input, $0) }) else {
      return false
    }
    return true
  }

  private static let command = HandlerCommand.Resolved(
    program: "/bin/sh", arguments: ["sh", "-c", script], directory: "/", environment: [])

  /// What a terminal sends to all is not meant for it.
  private static let script = """
    trap '' HUP INT QUIT TERM
    groups=' '
    while read -r sign group; do
      case $sign in
        +) groups="$groups$group " ;;
        -) case $groups in *" $group "*) groups="${groups%%" $group "*} ${groups#*" $group "}" ;; esac ;;
      esac
    done
    for group in $groups; do kill -KILL "-$group" 2>/dev/null; done
    """
}
