public import StreamModel

/// The AWS names that an event carries. Handlers written for AWS read the stream's name and its region out of them.
public struct EventIdentity: Hashable, Sendable {
  public var region: String
  /// Twelve digits.
  public var account: String
  /// The name of the role in `invokeIdentityArn`.
  public var role: String

  public init(region: String = "us-east-1", account: String = "000000000000", role: String = "sluice") {
    self.region = region
    self.account = account
    self.role = role
  }

  /// `arn:aws:kinesis:us-east-1:000000000000:stream/NAME`
  public func streamARN(_ stream: String) -> String { "arn:aws:kinesis:\(region):\(account):stream/\(stream)" }

  /// The name of a stream of any kind. That of a table's changes is
  /// `arn:aws:dynamodb:us-east-1:000000000000:table/NAME/stream/2026-09-17T12:49:54.528`, with the moment it was made.
  public func streamARN(_ stream: String, _ kind: StreamKind, createdAt: WallTime) -> String {
    switch kind {
    case .kinesis: streamARN(stream)
    case .dynamodb:
      "arn:aws:dynamodb:\(region):\(account):table/\(stream)/stream/\(CalendarTime(createdAt).withoutZone)"
    }
  }

  /// `arn:aws:lambda:us-east-1:000000000000:function:NAME`
  public func functionARN(_ function: String) -> String { "arn:aws:lambda:\(region):\(account):function:\(function)" }

  /// `arn:aws:iam::000000000000:role/sluice`
  public var roleARN: String { "arn:aws:iam::\(account):role/\(role)" }
}
