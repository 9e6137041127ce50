public import Glibc

/// A value behind a lock.
///
/// As `Synchronization.Mutex`, but made of the system's own, because the thread sanitizer follows those locks. Swift's
/// waits in the kernel once it is contended, and then the sanitizer sees two threads at one value and no lock: what it
/// reported could not be told from a mistake.
///
/// Public, although nobody outside of the package sees it: what is only visible in the package is not inlined in other
/// rooms, inlinable or not, and a generic function that is called there costs more than the lock.
@safe
public struct Mutex<Value>: ~Copyable, @unchecked Sendable {
  // Unchecked because of the pointers, which do not change. The first leads to what is made for many threads, the second
  // to the value, which is touched under the lock only.
  @usableFromInline let lock: UnsafeMutablePointer<pthread_mutex_t>
  @usableFromInline let value: UnsafeMutablePointer<Value>

  @inlinable
  public init(_ value: consuming sending Value) {
    unsafe lock = .allocate(capacity: 1)
    unsafe self.value = .allocate(capacity: 1)
    unsafe lock.initialize(to: pthread_mutex_t())
    unsafe self.value.initialize(to: value)
    var attributes = pthread_mutexattr_t()
    // Tries a little before it sleeps: the locks of a poller are held for less than a sleep and a wake take.
    let kind = Int32(PTHREAD_MUTEX_ADAPTIVE_NP)
    let codes = unsafe [
      pthread_mutexattr_init(&attributes), pthread_mutexattr_settype(&attributes, kind),
      pthread_mutex_init(lock, &attributes), pthread_mutexattr_destroy(&attributes),
    ]
    precondition(codes.allSatisfy { $0 == 0 }, "a mutex of one process can always be made")
  }

  @inlinable
  deinit {
    unsafe pthread_mutex_destroy(lock)
    unsafe lock.deallocate()
    unsafe value.deinitialize(count: 1)
    unsafe value.deallocate()
  }

  /// Runs `body` alone.
  @inlinable
  public borrowing func withLock<Result: ~Copyable, Failure: Error>(
    _ body: (inout sending Value) throws(Failure) -> sending Result
  ) throws(Failure) -> sending Result {
    unsafe pthread_mutex_lock(lock)
    defer { unsafe pthread_mutex_unlock(lock) }
    return try unsafe body(&value.pointee)
  }
}
