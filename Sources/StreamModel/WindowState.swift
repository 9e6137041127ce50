/// What the invocations of a tumbling window hand on from one to the next. Nobody but the handler looks inside.
///
/// For a handler in another process it is the text of a JSON object. Empty in the first invocation of a window, which
/// such a handler sees as `{}`.
public struct WindowState: Hashable, Sendable {
  public var bytes: [UInt8]

  public init(_ bytes: [UInt8] = []) {
    self.bytes = bytes
  }

  /// What the first invocation of a window gets.
  public static let empty = WindowState()

  /// AWS's limit: 1 MB. A window whose state is larger ends early.
  public static let byteLimit = 1 << 20
}
