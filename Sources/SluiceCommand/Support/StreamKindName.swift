import ArgumentParser
import StreamModel

/// A kind of stream as it is said on the command line.
enum StreamKindName: String, ExpressibleByArgument, CaseIterable {
  case kinesis
  case dynamodb

  var kind: StreamKind {
    switch self {
    case .kinesis: .kinesis
    case .dynamodb: .dynamodb
    }
  }
}
