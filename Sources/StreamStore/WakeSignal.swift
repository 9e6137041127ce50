internal import Glibc

/// A counting semaphore whose waits end at a moment of monotonic time: the semaphores of the system only know the wall
/// clock, which may step.
@safe
final class WakeSignal: @unchecked Sendable {
  // Unchecked because of the pointers, which do not change; what they lead to is made for many threads, and the count
  // is touched under the mutex only.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var count = 0

  init() {
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

  deinit {
    unsafe pthread_cond_destroy(condition)
    unsafe pthread_mutex_destroy(mutex)
    unsafe condition.deallocate()
    unsafe mutex.deallocate()
  }

  func signal() {
    unsafe pthread_mutex_lock(mutex)
    count += 1
    unsafe pthread_cond_signal(condition)
    unsafe pthread_mutex_unlock(mutex)
  }

  /// Waits for a signal and takes it; `false` if the deadline, in nanoseconds of monotonic time, came first.
  func wait(deadline: Int64?) -> Bool {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    while count == 0 {
      if let deadline {
        var time = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
        if unsafe pthread_cond_timedwait(condition, mutex, &time) == ETIMEDOUT, count == 0 { return false }
      } else {
        unsafe pthread_cond_wait(condition, mutex)
      }
    }
    count -= 1
    return true
  }
}
