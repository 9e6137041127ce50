internal import LMDB
public import StreamModel

/// Something an operator did, to be found later.
public struct AuditEntry: Hashable, Sendable {
  public var time: WallTime
  /// Who, such as `console 127.0.0.1`.
  public var actor: String
  /// What, such as `pause`.
  public var action: String
  /// To what, such as a mapping and a shard.
  public var subject: String
  public var detail: String

  public init(time: WallTime, actor: String, action: String, subject: String, detail: String) {
    self.time = time
    self.actor = actor
    self.action = action
    self.subject = subject
    self.detail = detail
  }

  func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(time)
    for text in [actor, action, subject, detail] { writer.write(text) }
    return writer.bytes
  }

  init(decoding reader: ByteReader) throws(LMDBError) {
    var reader = reader
    self.init(
      time: try reader.readTime(), actor: try reader.readText(), action: try reader.readText(),
      subject: try reader.readText(), detail: try reader.readText())
  }
}
