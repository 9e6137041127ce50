import CSpawn
import Foundation
import StreamModel

#if canImport(Glibc)
  import Glibc
#endif

/// A child process just started, and our ends of its pipes, which do not block.
struct SpawnedProcess {
  /// Also the id of its process group and session.
  var pid: pid_t
  /// `nil` for one that has nothing to read.
  var input: FileHandle?
  /// Negative for one that is not listened to.
  var output: FileHandle
  /// `nil` for one that writes errors where it writes all else.
  var errors: FileHandle?

  /// Which pipes lead to the process.
  enum Pipes {
    /// Standard input, output and errors, each with one of its own.
    case three
    /// Standard output and errors in one, so that lines stay in order; nothing to read.
    case log
    /// Standard input; what it writes is dropped.
    case input
  }

  /// A file descriptor of ours.
  typealias FileHandle = Int32

  /// Starts the command in a session of its own, with the default signal handling and no descriptors but its standard
  /// ones. Must be called on a thread that lives as long as the process: with `setpriv` at hand, the kernel kills the
  /// process when the thread that started it is gone. ``ProcessGuard`` kills its group when we are gone, unless
  /// `isGuarded` is false. It joins the control group `group`. Give back its id with ``reap()``.
  init(
    _ command: HandlerCommand.Resolved, _ pipes: Pipes = .three, in group: MemoryGroups.Group? = nil,
    isGuarded: Bool = true
  ) throws(HandlerFailure) {
    var made: [Pipe] = []
    let (input, output, errors): (Pipe?, Pipe?, Pipe?)
    do throws(HandlerFailure) {
      input = pipes == .log ? nil : try Pipe(in: &made)
      output = pipes == .input ? nil : try Pipe(in: &made)
      errors = pipes == .three ? try Pipe(in: &made) : nil
    } catch {
      for pipe in made { pipe.close() }
      throw error
    }
    var actions = unsafe posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawnattr_init(&attributes)
    defer {
      unsafe posix_spawn_file_actions_destroy(&actions)
      unsafe posix_spawnattr_destroy(&attributes)
    }
    if let input {
      unsafe posix_spawn_file_actions_adddup2(&actions, input.reading, 0)
    } else {
      unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    }
    if let output {
      unsafe posix_spawn_file_actions_adddup2(&actions, output.writing, 1)
      unsafe posix_spawn_file_actions_adddup2(&actions, (errors ?? output).writing, 2)
    } else {
      unsafe posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
      unsafe posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    }
    unsafe posix_spawn_file_actions_addclosefrom_np(&actions, 3)
    unsafe posix_spawn_file_actions_addchdir_np(&actions, command.directory)
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe posix_spawnattr_setsigmask(&attributes, &signals)
    unsafe sigfillset(&signals)
    unsafe sigdelset(&signals, SIGKILL)
    unsafe sigdelset(&signals, SIGSTOP)
    unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
    let flags = Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF) | Self.newSession
    unsafe posix_spawnattr_setflags(&attributes, Int16(flags))

    var guarded = isGuarded ? Self.guarded(command) : (command.program, command.arguments)
    // First of all: whoever it runs as may not be allowed to.
    if let group { guarded = group.command(guarded.0, guarded.1) }
    var pid: pid_t = 0
    let result = unsafe Self.withCStrings(guarded.1) { arguments in
      unsafe Self.withCStrings(command.environment) { environment in
        unsafe posix_spawn(&pid, guarded.0, &actions, &attributes, arguments, environment)
      }
    }
    for handle in [input?.reading, output?.writing, errors?.writing].compactMap(\.self) { close(handle) }
    let ours = [input?.writing, output?.reading, errors?.reading].compactMap(\.self)
    guard result == 0 else {
      for handle in ours { close(handle) }
      throw HandlerCommand.unavailable(unsafe "cannot start \(command.program): \(String(cString: strerror(result)))")
    }
    for handle in ours { SystemCall.setNonBlocking(handle) }
    if let input { SystemCall.enlargePipe(input.writing) }
    self.pid = pid
    self.input = input?.writing
    self.output = output?.reading ?? -1
    self.errors = errors?.reading
    if isGuarded { ProcessGuard.shared.watch(pid) }
  }

  /// Waits for its end and frees its id. Nothing of its group may be left.
  func reap() -> ProcessEnding {
    ProcessGuard.shared.forget(pid)
    return SystemCall.reap(pid)
  }

  /// The command behind `setpriv`, where there is one, so that it dies when we are killed.
  private static func guarded(_ command: HandlerCommand.Resolved) -> (program: String, arguments: [String]) {
    guard let setpriv else { return (command.program, command.arguments) }
    var options = ["setpriv", "--pdeathsig", "KILL"]
    // It sets the signal last: a change of user would take it away.
    if let user = command.user { options += ["--reuid", "\(user.id)", "--regid", "\(user.group)", "--init-groups"] }
    return (setpriv, options + ["--", command.program] + command.arguments.dropFirst())
  }

  static let setpriv: String? = ["/usr/bin/setpriv", "/bin/setpriv"]
    .first { FileManager.default.isExecutableFile(atPath: $0) }

  /// `POSIX_SPAWN_SETSID`, which Swift does not import.
  private static let newSession: Int32 = 0x80

  private static func withCStrings<Result>(
    _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
  ) -> Result {
    let copies = unsafe strings.map { unsafe strdup($0) }
    defer { unsafe copies.forEach { unsafe free($0) } }
    return unsafe body(copies + [nil])
  }

  private struct Pipe {
    var reading: Int32
    var writing: Int32

    init(in made: inout [Pipe]) throws(HandlerFailure) {
      guard let ends = SystemCall.pipe() else {
        throw HandlerCommand.unavailable(unsafe "cannot make a pipe: \(String(cString: strerror(errno)))")
      }
      (reading, writing) = ends
      made.append(self)
    }

    func close() {
      Foundation.close(reading)
      Foundation.close(writing)
    }
  }
}
