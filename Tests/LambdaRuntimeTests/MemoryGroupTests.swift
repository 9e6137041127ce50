import Foundation
import Logging
import StreamModel
import Testing

@testable import LambdaRuntime

/// Plain folders in the place of control groups: which files are written, and what is made of those that are read. That the
/// kernel keeps to it is not seen here.
@Suite("Control groups for memory", .timeLimit(.minutes(10)))
struct MemoryGroupTests: FunctionPoolTesting {
  private static let process: pid_t = 4_711

  /// A folder as a group of version 2 looks that holds one process.
  private func folder(controllers: String = "cpu memory pids", processes: String = "4711") throws -> URL {
    let root = try temporaryDirectory()
    let group = root.appending(path: "system.slice/sluice.service")
    try FileManager.default.createDirectory(at: group, withIntermediateDirectories: true)
    try Data("\(controllers)\n".utf8).write(to: group.appending(path: "cgroup.controllers"))
    try Data("\(processes)\n".utf8).write(to: group.appending(path: "cgroup.procs"))
    return root
  }

  private func groups(
    in root: URL, membership: String = "0::/system.slice/sluice.service\n", isDelegated: Bool = true
  ) -> MemoryGroups? {
    MemoryGroups(mount: root.path, membership: membership, process: Self.process) { _ in isDelegated }
  }

  private func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

  @Test("the process moves below its group, which then has the controller for its children")
  func moving() throws {
    let root = try folder()
    defer { remove(root) }
    let groups = try #require(self.groups(in: root, membership: "4:memory:/other\n0::/system.slice/sluice.service\n"))
    #expect(groups.path == root.path + "/system.slice/sluice.service")
    #expect(try text(groups.path + "/worker/cgroup.procs") == "4711\n")
    #expect(try text(groups.path + "/cgroup.subtree_control") == "+memory\n")
  }

  @Test("a group that is not ours, without the controller, with others in it, or of version 1 is left alone")
  func refused() throws {
    for (controllers, processes, membership, isDelegated) in [
      ("cpu memory", "4711", "0::/system.slice/sluice.service\n", false),
      ("cpu pids", "4711", "0::/system.slice/sluice.service\n", true),
      ("cpu memory", "1\n4711", "0::/system.slice/sluice.service\n", true),
      ("cpu memory", "4711", "4:memory:/system.slice/sluice.service\n", true),
    ] {
      let root = try folder(controllers: controllers, processes: processes)
      defer { remove(root) }
      #expect(self.groups(in: root, membership: membership, isDelegated: isDelegated) == nil)
      let group = root.path + "/system.slice/sluice.service"
      #expect(try FileManager.default.contentsOfDirectory(atPath: group).count == 2)
      #expect(try text(group + "/cgroup.procs") == processes + "\n")
    }
  }

  @Test("where the kernel refuses the controller the process goes back")
  func controllerRefused() throws {
    let root = try folder(processes: "4711")
    defer { remove(root) }
    let group = root.path + "/system.slice/sluice.service"
    try FileManager.default.createDirectory(
      atPath: group + "/cgroup.subtree_control", withIntermediateDirectories: false)
    #expect(self.groups(in: root) == nil)
    #expect(try text(group + "/cgroup.procs") == "4711\n")
  }

  @Test("an environment joins a group of its own with its limit, whose peak is reported and whose end is named")
  func environments() async throws {
    let root = try folder()
    defer { remove(root) }
    let groups = try #require(self.groups(in: root))
    let body = """
      import glob
      [group] = glob.glob('\(groups.path)/environment-*')
      read = lambda name: open(group + '/' + name).read().strip()
      if json.loads(event) == 'die':
        open(group + '/memory.events', 'w').write('low 0\\nmax 3\\noom 1\\noom_kill 1\\n')
        os.kill(os.getpid(), signal.SIGKILL)
      open(group + '/memory.peak', 'w').write('%d\\n' % (150 << 20))
      hold = bytearray(200 << 20)
      result = [read(name) for name in ('cgroup.procs', 'memory.max', 'memory.swap.max', 'memory.oom.group')]
      """
    let log = LogLines()
    try await with(Self.settings(Self.python(body)), limits: { $0.memoryGroups = groups }, logger: log.logger) {
      pool async throws in
      #expect(pool.hasMemoryGroups)
      // It uses more than its 128 MiB: that is the kernel's business now.
      #expect(try await invoke(pool, #""read""#, id: "one") == #"["0", "134217728", "0", "1"]"#)
      #expect(pool.statistics.snapshot.largestMemoryBytes == 150 << 20)
      let report = await log.first { $0.hasPrefix("REPORT RequestId: one\t") }
      #expect(report.contains("Max Memory Used: 150 MB"))
      let failure = try await failure(pool, #""die""#, id: "two")
      #expect((failure.kind, failure.type) == (.exited, "Runtime.OutOfMemory"))
      let names = try FileManager.default.contentsOfDirectory(atPath: groups.path)
      let group = try #require(names.first { $0.hasPrefix("environment-") })
      #expect(try text("\(groups.path)/\(group)/cgroup.kill") == "1\n")
    }
  }

  @Test("in a group that somebody has joined it is the kernel that sees to the limit, and tells the peak")
  func joined() throws {
    let root = try temporaryDirectory()
    defer { remove(root) }
    let group = MemoryGroups.Group(path: root.path)
    var use = MemoryUse(of: getpid(), in: group)
    #expect(use.sample() > 0)
    let looked = use.largest
    try "4711\n".write(toFile: root.path + "/cgroup.procs", atomically: false, encoding: .utf8)
    try "\(looked * 3)\n".write(toFile: root.path + "/memory.peak", atomically: false, encoding: .utf8)
    #expect(use.sample() == 0)
    #expect(use.largest == looked * 3)
  }

  @Test("a process that cannot join its group runs all the same, and is looked at")
  func notJoined() throws {
    let root = try temporaryDirectory()
    defer { remove(root) }
    let missing = MemoryGroups.Group(path: root.path + "/missing")
    let (program, arguments) = missing.command("/bin/echo", ["echo", "a b", "$HOME"])
    let process = Process()
    process.executableURL = URL(filePath: program)
    process.arguments = Array(arguments.dropFirst())
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let said = try #require(try output.fileHandleForReading.readToEnd())
    #expect(String(decoding: said, as: UTF8.self) == "a b $HOME\n")
    var use = MemoryUse(of: getpid(), in: missing)
    #expect(use.sample() > 0)
    #expect(use.largest > 0)
    #expect(!use.ranOutOfMemory)
  }
}
