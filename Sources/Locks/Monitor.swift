public import Glibc

/// A value behind a lock, and a way to wait until it has become something. Waits end at a moment of monotonic time: the
/// semaphores of the system only know the wall clock, which may step.
///
/// Of the system's own making, as ``Mutex`` is, and public for its reason.
@safe
public final class Monitor<State>: @unchecked Sendable {
  // Unchecked because of the pointers, which do not change and lead to what is made for many threads, and because of
  // the state, which is touched under the mutex only.
  @usableFromInline let mutex: UnsafeMutablePointer<pthread_mutex_t>
  @usableFromInline let condition: UnsafeMutablePointer<pthread_cond_t>
  @usableFromInline var state: State

  @inlinable
  public init(_ state: sending State) {
    self.state = state
    unsafe mutex = .allocate(capacity: 1)
    unsafe condition = .allocate(capacity: 1)
    unsafe mutex.initialize(to: pthread_mutex_t())
    unsafe condition.initialize(to: pthread_cond_t())
    var attributes = pthread_condattr_t()
    let codes = unsafe [
      pthread_mutex_init(mutex, nil), pthread_condattr_init(&attributes),
      pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC), pthread_cond_init(condition, &attributes),
    ]
    precondition(codes.allSatisfy { $0 == 0 }, "a mutex and a condition of one process can always be made")
  }

  @inlinable
  deinit {
    unsafe pthread_cond_destroy(condition)
    unsafe pthread_mutex_destroy(mutex)
    unsafe condition.deallocate()
    unsafe mutex.deallocate()
  }

  /// Runs `body` alone.
  @inlinable
  public func withLock<Result>(_ body: (inout State) -> Result) -> Result {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    return body(&state)
  }

  /// Lets one waiting thread look at the value again.
  @inlinable
  public func signal() {
    unsafe pthread_cond_signal(condition)
  }

  /// Lets all waiting threads look at the value again.
  @inlinable
  public func signalAll() {
    unsafe pthread_cond_broadcast(condition)
  }

  /// Waits until `body` gives something; `nil` if the deadline, in nanoseconds of monotonic time, came first. `body`
  /// runs alone, at once and after each signal.
  @inlinable
  public func wait<Result>(deadline: Int64?, _ body: (inout State) -> Result?) -> Result? {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    while true {
      if let result = body(&state) { return result }
      if let deadline {
        var time = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
        if unsafe pthread_cond_timedwait(condition, mutex, &time) == ETIMEDOUT { return body(&state) }
      } else {
        unsafe pthread_cond_wait(condition, mutex)
      }
    }
  }
}
