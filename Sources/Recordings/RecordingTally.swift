/// What the lines of a recording come to, or those of a part of it.
public struct RecordingTally: Hashable, Sendable {
  public internal(set) var recordCount: UInt64 = 0
  /// The bytes of data of these.
  public internal(set) var dataByteCount: UInt64 = 0
  /// The bytes of all lines.
  public internal(set) var textByteCount: UInt64 = 0
  /// Payloads that were redacted as a whole because they are not JSON.
  public internal(set) var redactedWhole: UInt64 = 0
  /// What runs over the checks of all lines.
  private(set) var digest: UInt64 = 0
  /// What the digest of the lines before is multiplied by.
  private var factor: UInt64 = 1

  public init() {}

  @inline(__always)
  mutating func addLine(check: UInt32, byteCount: Int) {
    textByteCount += UInt64(byteCount)
    digest = digest &* LineCheck.factor &+ UInt64(check)
    factor = factor &* LineCheck.factor
  }

  /// Adds that of the lines that follow. Whoever adds part after part comes to the same, however they were cut.
  mutating func add(_ following: RecordingTally) {
    recordCount += following.recordCount
    dataByteCount += following.dataByteCount
    textByteCount += following.textByteCount
    redactedWhole += following.redactedWhole
    digest = digest &* following.factor &+ following.digest
    factor = factor &* following.factor
  }
}
