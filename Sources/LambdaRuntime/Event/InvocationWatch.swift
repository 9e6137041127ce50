/// For those who want to know what a handler in another process answers, besides what it means.
public enum InvocationWatch {
  /// Called with the answer of each invocation that this task or one of its children makes.
  @TaskLocal static var answered: (@Sendable ([UInt8]) -> Void)?

  /// Calls `answered` with the answer of each invocation that `body` makes.
  ///
  /// Not to be inlined: Swift 6.3's optimizer has put a task-local function into callers without its type, and they
  /// crashed.
  @inline(never)
  public static func watching<Outcome>(
    _ answered: @escaping @Sendable ([UInt8]) -> Void, _ body: () async throws -> Outcome
  ) async rethrows -> Outcome {
    try await $answered.withValue(answered, operation: body)
  }
}
