import EventPattern
import LambdaRuntime
import StreamModel
import StreamRuntime
import StreamStore
import TableChanges

/// The stream of a mapping as its handlers and filters see it.
struct MappedStream {
  var name: String
  var kind = StreamKind.kinesis
  var createdAt = WallTime.zero
  var identity = EventIdentity()

  init(name: String) {
    self.name = name
  }

  /// `nil` stands for a stream that does not exist: what asks for its kind takes it for one of Kinesis.
  init(_ stream: StreamInfo?, name: String) {
    self.init(name: name)
    guard let stream else { return }
    kind = stream.kind
    createdAt = stream.createdAt
  }

  var arn: String { identity.streamARN(name, kind, createdAt: createdAt) }

  var filterSource: FilterSource {
    switch kind {
    case .kinesis: .kinesis
    case .dynamodb: .dynamodb
    }
  }

  /// How large its records are in an event.
  var sizing: RecordSizing {
    let writer = EventWriter(identity: identity, stream: name, kind: kind, createdAt: createdAt)
    return RecordSizing(overhead: writer.recordOverhead, takesDataAsItIs: kind == .dynamodb)
  }

  /// How the changes of a table are written into events.
  var changeEvents: ChangeEvents { ChangeEvents(region: identity.region, streamARN: arn) }

  /// Makes what tries a filter on its records.
  func selection(_ filter: EventFilter) -> @Sendable () -> any RecordSelecting {
    switch kind {
    case .kinesis:
      let constants = KinesisConstants(eventSourceARN: arn, region: identity.region, roleARN: identity.roleARN)
      return { FilterSelection(EventMatcher(filter, constants: constants)) }
    case .dynamodb:
      let events = changeEvents
      return { ChangeSelection(EventMatcher(filter), events) }
    }
  }
}
