internal import Glibc

/// A thread of the system for a function that runs as long as the store is open.
@safe
final class WriterThread: @unchecked Sendable {
  // Unchecked because of the thread's handle, which does not change.
  private let thread: pthread_t

  private final class Start {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  /// Starts `body`.
  init(_ body: @escaping @Sendable () -> Void) throws(StoreError) {
    var thread = pthread_t()
    let start = unsafe Unmanaged.passRetained(Start(body))
    let code = unsafe pthread_create(
      &thread, nil,
      { argument in
        guard let argument = unsafe argument else { return nil }
        unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
        return nil
      }, start.toOpaque())
    guard code == 0 else {
      unsafe start.release()
      throw .failed("the thread of the writer could not be started: \(systemMessage(code))")
    }
    self.thread = thread
  }

  /// Whether the caller runs on this thread.
  var isCurrent: Bool { pthread_equal(thread, pthread_self()) != 0 }

  /// Waits until the function has returned. Once.
  func join() { _ = pthread_join(thread, nil) }

  /// Lets go of a thread that nobody will join.
  func detach() { _ = pthread_detach(thread) }
}

/// What an error number of the system means.
func systemMessage(_ code: Int32) -> String {
  unsafe String(cString: strerror(code))
}

/// Nanoseconds of monotonic time.
func monotonicNanoseconds() -> Int64 {
  var time = timespec()
  unsafe clock_gettime(CLOCK_MONOTONIC, &time)
  return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
