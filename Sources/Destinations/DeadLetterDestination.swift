public import StreamRuntime
public import StreamStore

/// Gives each event that failed for good away as it was given: Lambda's dead-letter queue, in a directory or behind a URL.
///
/// In a directory the attributes lie beside the event, in a file that ends in `.attributes.json`; a URL gets them as headers.
public struct DeadLetterDestination: FailureDestination {
  /// Where dead letters go.
  public enum Place: Sendable {
    case folder(DocumentFolder)
    case endpoint(DocumentEndpoint)
  }

  private let place: Place
  private let documents: EntryDocuments

  /// - Parameter documents: those of a mapping whose records are events of asynchronous invocations.
  public init(_ place: Place, documents: EntryDocuments) {
    self.place = place
    self.documents = documents
  }

  public func accept(_ entry: FailureEntry) async throws -> String {
    guard let letter = documents.deadLetter(of: entry) else {
      throw DestinationFailure("entry \(entry.summary.number) holds no event that could be a dead letter")
    }
    let key = documents.deadLetterKey(for: entry.summary)
    switch place {
    case .folder(let folder):
      // First, so that who finds the event finds them.
      _ = try folder.write(letter.encodedAttributes, at: key, suffix: ".attributes.json")
      return try folder.write(letter.event, at: key)
    case .endpoint(let endpoint):
      return try await endpoint.post(letter.event, as: key, headers: letter.headers)
    }
  }
}

/// Several destinations of the same entries: it has come there when each has taken it. One that has may get it again when
/// another has not.
public struct CombinedDestination: FailureDestination {
  private let all: [any FailureDestination]

  public init(_ all: [any FailureDestination]) {
    self.all = all
  }

  public func accept(_ entry: FailureEntry) async throws -> String {
    var places: [String] = []
    for destination in all { places.append(try await destination.accept(entry)) }
    return places.joined(separator: " and ")
  }
}
