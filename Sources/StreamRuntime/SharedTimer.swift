import Locks

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// One timer for all lanes of a poller: a thread that sleeps until the armed moment.
///
/// A sleeping task for each batch costs five times as much as a whole empty delivery; this costs a lock. Arming a later
/// moment than the armed one does not wake the thread: it finds out when it wakes.
final class SharedTimer: Sendable {
  private struct State {
    var due = Int64.max
    var isStopped = false
  }

  private let state = Mutex(State())
  private let bell = ThreadBell()

  /// Fires `fired` on the timer's own thread whenever the armed moment has come, until ``stop()``.
  /// `now` is the monotonic clock in nanoseconds.
  func start(now: @escaping @Sendable () -> Int64, fired: @escaping @Sendable () -> Void) {
    let isStarted = SystemThread.startDetached(named: "sluice-timer") { [self] in
      while true {
        let (due, isStopped) = state.withLock { ($0.due, $0.isStopped) }
        if isStopped { return }
        let remaining = due == .max ? Int64.max : due - now()
        if remaining > 0 {
          bell.wait(nanoseconds: remaining)
          continue
        }
        let isDue = state.withLock { state in
          guard state.due == due else { return false }
          state.due = .max
          return true
        }
        if isDue { fired() }
      }
    }
    precondition(isStarted, "the system gives a poller the one thread of its timer")
  }

  /// Replaces the armed moment, in nanoseconds of the monotonic clock.
  func arm(at due: Int64) {
    let isEarlier = state.withLock { state in
      defer { state.due = due }
      return due < state.due
    }
    if isEarlier { bell.ring() }
  }

  /// Looks at the clock again, for clocks that can be set.
  func lookAgain() {
    bell.ring()
  }

  func stop() {
    state.withLock { $0.isStopped = true }
    bell.ring()
  }
}

/// Something that a thread waits for and others ring. A ring without a waiting thread is kept for the next wait.
final class ThreadBell: @unchecked Sendable {
  // Unchecked because of the two C objects, which are made to be shared; `isRung` is only touched under the mutex.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var isRung = false

  init() {
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    // The wall clock may be stepped; a wait must not notice.
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  func ring() {
    pthread_mutex_lock(mutex)
    isRung = true
    pthread_cond_signal(condition)
    pthread_mutex_unlock(mutex)
  }

  /// Returns when rung, or after `nanoseconds`; `Int64.max` waits for the ring alone.
  func wait(nanoseconds: Int64) {
    pthread_mutex_lock(mutex)
    defer {
      isRung = false
      pthread_mutex_unlock(mutex)
    }
    if nanoseconds == .max {
      while !isRung { pthread_cond_wait(condition, mutex) }
      return
    }
    var moment = timespec()
    clock_gettime(CLOCK_MONOTONIC, &moment)
    let total = Int64(moment.tv_nsec) + min(nanoseconds, 3_600_000_000_000)
    moment.tv_sec += Int(total / 1_000_000_000)
    moment.tv_nsec = Int(total % 1_000_000_000)
    while !isRung {
      if pthread_cond_timedwait(condition, mutex, &moment) == ETIMEDOUT { return }
    }
  }
}
