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

  /// `arn:aws:lambda:us-east-1:000000000000:function:NAME`
  public func functionARN(_ function: String) -> String { "arn:aws:lambda:\(region):\(account):function:\(function)" }

  /// `arn:aws:iam::000000000000:role/sluice`
  public var roleARN: String { "arn:aws:iam::\(account):role/\(role)" }
}
