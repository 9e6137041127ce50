/// Until when a service asked to be left alone: `Retry-After` of a 429 or 503. Times are nanoseconds of one clock.
struct ServiceRest: Hashable, Sendable {
  private var end: Int64 = 0

  /// A service may ask for more; it is called again after this all the same.
  static let longest = Duration.seconds(300)

  /// The wait that a value of `Retry-After` asks for: whole seconds. `nil` of anything else; a date would be one of a clock
  /// that nobody knows.
  static func wait(_ retryAfter: String) -> Duration? {
    guard !retryAfter.isEmpty, retryAfter.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
    // More digits than a number has are more than the longest wait.
    return Int64(retryAfter).map { min(.seconds($0), longest) } ?? longest
  }

  /// The service asks for a wait. One that ends later stays.
  mutating func begin(_ wait: Duration, at now: Int64) {
    end = max(end, now + min(wait, Self.longest).inNanoseconds)
  }

  /// How long it is to be left alone still; zero or less if it is not.
  func left(at now: Int64) -> Duration { .nanoseconds(end - now) }
}
