public import StreamRuntime
public import StreamStore

/// Posts the document of each entry to a URL, as ``DocumentEndpoint`` does.
public struct HTTPDestination: FailureDestination {
  private let endpoint: DocumentEndpoint
  private let documents: EntryDocuments
  private let includesPayload: Bool

  public init(
    url: String, documents: EntryDocuments, includesPayload: Bool = true, timeoutMilliseconds: Int64 = 30_000
  ) {
    endpoint = DocumentEndpoint(url: url, timeoutMilliseconds: timeoutMilliseconds)
    self.documents = documents
    self.includesPayload = includesPayload
  }

  public func accept(_ entry: FailureEntry) async throws -> String {
    try await endpoint.post(
      documents.encoded(entry, includesPayload: includesPayload), as: documents.key(for: entry.summary))
  }
}
