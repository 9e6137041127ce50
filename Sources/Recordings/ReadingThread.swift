internal import Glibc

/// A thread for what waits for a file, which none of the shared ones should.
enum ReadingThread {
  /// `body` runs there to its end. `false` if the system gives no thread: then it does not run.
  static func start(_ body: sending @escaping () -> Void) -> Bool {
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
      return false
    }
    pthread_detach(thread)
    return true
  }

  private final class Start {
    let body: () -> Void

    init(_ body: @escaping () -> Void) { self.body = body }
  }
}
