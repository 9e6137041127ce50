import ShardCore
import StreamModel

/// A tumbling window in a lane's row: its bounds, flags, and the state behind its length.
extension ByteWriter {
  mutating func write(_ window: OpenWindow) {
    write(window.bounds.start.milliseconds)
    write(window.bounds.end.milliseconds)
    write((window.isEnding ? WindowFlag.ending : 0) | (window.isTerminatedEarly ? WindowFlag.early : 0))
    write(window.state.bytes)
  }
}

extension ByteReader {
  mutating func readWindow() throws(LaneRecordError) -> OpenWindow {
    let start = WallTime(milliseconds: try read())
    let end = WallTime(milliseconds: try read())
    let flags: UInt8 = try read()
    guard start < end, flags & ~(WindowFlag.ending | WindowFlag.early) == 0 else { throw .malformed }
    return OpenWindow(
      TimeWindow(start: start, end: end), state: WindowState(try readBytes()),
      isEnding: flags & WindowFlag.ending != 0, isTerminatedEarly: flags & WindowFlag.early != 0)
  }
}

private enum WindowFlag {
  static let ending: UInt8 = 1
  static let early: UInt8 = 2
}
