import ShardCore

/// Takes what a handler returned to a destination while the record still counts as being delivered: nothing of it is
/// stored, so a worker that ends before that delivers the record again.
public enum ResultCourier {
  /// Calls `attempt` as often and with such waits as ``ShardCore/OutboxPolicy/whileWaiting`` says. Throws the failure of
  /// the last attempt, or `CancellationError`.
  public static func deliver(_ attempt: () async throws -> Void) async throws {
    var failures = 0
    while true {
      do {
        return try await attempt()
      } catch {
        failures += 1
        let wait = OutboxPolicy.whileWaiting.waitMilliseconds(
          failures: failures, requested: (error as? DestinationFailure)?.retryAfterMilliseconds,
          jitter: UInt64.random(in: .min ... .max))
        guard let wait else { throw error }
        try await ContinuousClock().sleep(for: .milliseconds(wait))
      }
    }
  }
}
