/// For those who want to know what a handler in another process answers, besides what it means.
public enum InvocationWatch {
  /// Called with the answer of each invocation that this task or one of its children makes.
  @TaskLocal public static var answered: (@Sendable ([UInt8]) -> Void)?
}
