/// Parameters that AWS has and a mapping here has not, with what to do instead.
public struct ForeignParameter: Hashable, Sendable {
  public var name: String
  public var reason: String
  public var aws: AWSAnswer?

  public static let all: [ForeignParameter] =
    [
      .init(name: "EventSourceArn", reason: "is not used here: name the stream with stream: NAME"),
      .init(name: "FunctionName", reason: "is not used here: name the function with function: NAME"),
      .init(
        name: "ScalingConfig", reason: "belongs to queues, not to streams",
        aws: .invalidParameterValue("Unsupported ScalingConfig parameter for given event source mapping type.")),
      .init(name: "KMSKeyArn", reason: "is not used here: patterns are stored as they stand"),
      .init(name: "Tags", reason: "is not used here: a mapping has a name"),
    ]
    + [
      "LoggingConfig", "ProvisionedPollerConfig", "Topics", "Queues", "SourceAccessConfigurations",
      "AmazonManagedKafkaEventSourceConfig", "SelfManagedKafkaEventSourceConfig", "DocumentDBEventSourceConfig",
      "SelfManagedEventSource",
    ].map { .init(name: $0, reason: "belongs to another kind of source, not to streams") }
}
