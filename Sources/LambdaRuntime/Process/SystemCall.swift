import CSpawn
import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// The calls to the kernel that need a pointer or a constant that Swift does not import.
enum SystemCall {
  /// A pipe that children do not inherit; `nil` when the process has too many descriptors (see `errno`).
  static func pipe() -> (reading: Int32, writing: Int32)? {
    var ends: (Int32, Int32) = (-1, -1)
    let result = unsafe withUnsafeMutableBytes(of: &ends) { bytes in
      unsafe bytes.withMemoryRebound(to: Int32.self) { unsafe pipe2($0.baseAddress, Int32(O_CLOEXEC)) }
    }
    return result == 0 ? (ends.0, ends.1) : nil
  }

  static func setNonBlocking(_ handle: Int32) {
    let flags = fcntl(handle, F_GETFL)
    precondition(fcntl(handle, F_SETFL, flags | O_NONBLOCK) == 0, "a pipe takes O_NONBLOCK")
  }

  /// Asks for a pipe of 1 MiB instead of 64 KiB: fewer turns for a large event. The kernel may refuse; that only costs
  /// time.
  static func enlargePipe(_ handle: Int32) {
    let setPipeSize: Int32 = 1_031
    _ = fcntl(handle, setPipeSize, 1 << 20)
  }

  /// The bytes in a pipe that nobody has read yet.
  static func unreadByteCount(_ handle: Int32) -> Int {
    var count: Int32 = 0
    guard unsafe ioctl(handle, UInt(FIONREAD), &count) == 0 else { return 0 }
    return Int(count)
  }

  enum Transfer {
    case bytes(Int)
    case wouldBlock
    /// The end of the file, or nobody at the other end.
    case closed
  }

  static func read(_ handle: Int32, into bytes: inout [UInt8]) -> Transfer {
    while true {
      let count = unsafe Foundation.read(handle, &bytes, bytes.count)
      if count > 0 { return .bytes(count) }
      if count == 0 { return .closed }
      if errno == EINTR { continue }
      return errno == EAGAIN ? .wouldBlock : .closed
    }
  }

  static func write(_ handle: Int32, _ bytes: UnsafeRawBufferPointer) -> Transfer {
    while true {
      let count = unsafe Foundation.write(handle, bytes.baseAddress, bytes.count)
      if count >= 0 { return .bytes(count) }
      if errno == EINTR { continue }
      return errno == EAGAIN ? .wouldBlock : .closed
    }
  }

  /// Waits until one of the handles has something. `timeout` in nanoseconds; `nil`: without end.
  static func wait(_ handles: inout [pollfd], timeout: Int64?) {
    let milliseconds = timeout.map { Int32(clamping: ($0 + 999_999) / 1_000_000) } ?? -1
    let result = unsafe poll(&handles, nfds_t(handles.count), milliseconds)
    if result < 0 { for position in handles.indices { handles[position].revents = 0 } }
  }

  /// Blocks until the process has ended, and leaves it for ``reap(_:)``: its id stays taken until then.
  static func waitForEnd(of pid: pid_t) {
    var information = unsafe siginfo_t()
    while unsafe waitid(P_PID, id_t(pid), &information, Int32(WEXITED) | Int32(WNOWAIT)) != 0 && errno == EINTR {}
  }

  /// Frees the id of a process that has ended.
  static func reap(_ pid: pid_t) -> ProcessEnding {
    var status: Int32 = 0
    while unsafe waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    return ProcessEnding(status: status)
  }

  /// From now on a write to a closed pipe on this thread is an error and not a signal.
  static func blockBrokenPipeSignal() {
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, SIGPIPE)
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
  }

  /// Monotonic, in nanoseconds.
  static func now() -> Int64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  // MARK: Sockets

  /// A socket that listens on a free port of 127.0.0.1, does not block, and is not inherited; `nil` when the process has
  /// too many descriptors (see `errno`).
  static func listenOnLoopback(backlog: Int32) -> (handle: Int32, port: UInt16)? {
    let handle = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    guard handle >= 0 else { return nil }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        guard unsafe bind(handle, generic, length) == 0, listen(handle, backlog) == 0 else { return Int32(-1) }
        return unsafe getsockname(handle, generic, &length)
      }
    }
    guard result == 0 else {
      close(handle)
      return nil
    }
    return (handle, UInt16(bigEndian: address.sin_port))
  }

  /// The next connection, which does not block and sends at once; `nil` if nobody waits.
  static func accept(_ listener: Int32) -> Int32? {
    let flags = Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let handle = accept4(listener, nil, nil, flags)
    guard handle >= 0 else { return nil }
    var on: Int32 = 1
    _ = unsafe setsockopt(handle, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    return handle
  }

  /// Like ``write(_:_:)`` for a socket; nobody at the other end is no signal.
  static func send(_ handle: Int32, _ bytes: UnsafeRawBufferPointer) -> Transfer {
    while true {
      let count = unsafe Foundation.send(handle, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
      if count >= 0 { return .bytes(count) }
      if errno == EINTR { continue }
      return errno == EAGAIN ? .wouldBlock : .closed
    }
  }

  // MARK: Processes

  /// A descriptor that becomes readable when the process has ended; `nil` when there is no room for one.
  static func handle(of pid: pid_t) -> Int32? {
    let handle = pidfd_open(pid, 0)
    return handle >= 0 ? handle : nil
  }

  /// Milliseconds since 1970.
  static func wallMilliseconds() -> Int64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
  }
}
