internal import CSpawn
internal import Glibc

/// A thread of the system: for what waits for a file, or works without a pause, which none of those should that tasks
/// share.
public struct SystemThread: Sendable {
  private let thread: pthread_t

  /// The system gives no more threads.
  public struct Refusal: Error, CustomStringConvertible {
    /// As `errno` has them.
    public let code: Int32

    /// What the code means.
    public var description: String { unsafe String(cString: strerror(code)) }
  }

  /// Runs `body` on a new thread to its end, once. Somebody calls ``join()`` or ``detach()``, or the system keeps what it
  /// knows of the thread. `name` is what debuggers and `top -H` show: 15 bytes at most.
  public init(named name: StaticString, _ body: sending @escaping () -> Void) throws(Refusal) {
    precondition(name.utf8CodeUnitCount <= Self.nameByteLimit, "the name of a thread has 15 bytes at most")
    let start = unsafe Unmanaged.passRetained(Start(body))
    var thread = pthread_t()
    let code = unsafe pthread_create(
      &thread, nil,
      { argument in
        guard let argument = unsafe argument else { return nil }
        unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
        return nil
      }, start.toOpaque())
    guard code == 0 else {
      unsafe start.release()
      throw Refusal(code: code)
    }
    self.thread = thread
    // A name that the system does not take is missed by nobody but a reader of `top`.
    _ = unsafe name.utf8Start.withMemoryRebound(to: CChar.self, capacity: name.utf8CodeUnitCount + 1) {
      unsafe pthread_setname_np(thread, $0)
    }
  }

  private static let nameByteLimit = 15

  /// Runs `body` on a new thread that nobody waits for. `false` if the system gives none: then it does not run.
  public static func startDetached(named name: StaticString, _ body: sending @escaping () -> Void) -> Bool {
    do throws(Refusal) {
      try SystemThread(named: name, body).detach()
      return true
    } catch {
      return false
    }
  }

  /// Whether the caller runs on this thread.
  public var isCurrent: Bool { pthread_equal(thread, pthread_self()) != 0 }

  /// Waits until the function has returned. Once, and not of a thread that was let go of.
  public func join() { _ = pthread_join(thread, nil) }

  /// Lets go of a thread that nobody will join. Once.
  public func detach() { _ = pthread_detach(thread) }

  private final class Start {
    let body: () -> Void

    init(_ body: @escaping () -> Void) { self.body = body }
  }
}
