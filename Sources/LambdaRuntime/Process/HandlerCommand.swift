import Foundation
import StreamModel

/// A program that handles events, and how it is started.
public struct HandlerCommand: Hashable, Sendable {
  /// The program and its arguments, at least the program. A program without a slash is looked up in `PATH`, one with a
  /// slash is relative to the directory.
  public var arguments: [String]
  /// Where the process runs; `nil`: where this process runs.
  public var directory: String?
  /// Variables set on top of those of this process.
  public var environment: [String: String]
  /// Who the process runs as, by name; `nil`: as this process. Anybody else needs a process of root, and `setpriv`.
  public var user: String?

  public init(_ arguments: [String], directory: String? = nil, environment: [String: String] = [:]) {
    precondition(!arguments.isEmpty, "a command names its program")
    self.arguments = arguments
    self.directory = directory
    self.environment = environment
  }

  /// The command with nothing left to look up.
  struct Resolved: Hashable, Sendable {
    var program: String
    var arguments: [String]
    var directory: String
    var environment: [String]
    var user: User?
  }

  /// An account of the machine.
  struct User: Hashable, Sendable {
    var id: uid_t
    var group: gid_t

    init?(named name: String) {
      var entry = unsafe passwd()
      var found: UnsafeMutablePointer<passwd>?
      var texts = [CChar](repeating: 0, count: 16_384)
      guard unsafe getpwnam_r(name, &entry, &texts, texts.count, &found) == 0, unsafe found != nil else { return nil }
      (id, group) = unsafe (entry.pw_uid, entry.pw_gid)
    }
  }

  /// Finds the program and joins the environments. Throws ``HandlerFailure`` of kind `unavailable` when the program or
  /// the directory is not there or may not be used: nothing that a retry alone would cure.
  ///
  /// `defaults` are weaker than the environment of this process and that of the command, `fixed` are stronger, and
  /// `removed` are not there at all.
  func resolved(
    defaults: [String: String] = [:], fixed: [String: String] = [:], without removed: Set<String> = []
  ) throws(HandlerFailure) -> Resolved {
    let current = FileManager.default.currentDirectoryPath
    let directory = self.directory.map { Self.absolute($0, in: current) } ?? current
    guard Self.isDirectory(directory) else { throw Self.unavailable("there is no directory \(directory)") }
    let environment =
      defaults.merging(ProcessInfo.processInfo.environment) { $1 }.merging(self.environment) { $1 }
      .merging(fixed) { $1 }.filter { !removed.contains($0.key) }
    let name = arguments[0]
    let candidates =
      name.contains("/")
      ? [Self.absolute(name, in: directory)]
      : (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":").map { "\($0)/\(name)" }
    let found = candidates.filter { FileManager.default.fileExists(atPath: $0) && !Self.isDirectory($0) }
    guard let program = found.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
      throw Self.unavailable(
        found.isEmpty ? "command not found: \(name)" : "permission denied: \(found[0]) is not executable")
    }
    return Resolved(
      program: program, arguments: arguments, directory: directory,
      environment: environment.map { "\($0.key)=\($0.value)" }.sorted(), user: try account())
  }

  private func account() throws(HandlerFailure) -> User? {
    guard let user else { return nil }
    guard let account = User(named: user) else { throw Self.unavailable("there is no user \(user)") }
    if account.id == geteuid() { return nil }
    guard geteuid() == 0 else { throw Self.unavailable("only root may run it as \(user)") }
    guard SpawnedProcess.setpriv != nil else {
      throw Self.unavailable("setpriv of util-linux is needed to run it as \(user)")
    }
    return account
  }

  static func unavailable(_ message: String) -> HandlerFailure {
    HandlerFailure(kind: .unavailable, type: "Runtime.InvalidEntrypoint", message: message)
  }

  private static func absolute(_ path: String, in directory: String) -> String {
    path.hasPrefix("/") ? path : directory + "/" + path
  }

  private static func isDirectory(_ path: String) -> Bool {
    (try? FileManager.default.attributesOfItem(atPath: (path as NSString).resolvingSymlinksInPath)[.type])
      as? FileAttributeType == .typeDirectory
  }
}
