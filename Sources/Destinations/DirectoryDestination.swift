public import StreamRuntime
public import StreamStore

/// Writes the document of each entry where Lambda would put it in a bucket of S3, as ``DocumentFolder`` does.
public struct DirectoryDestination: FailureDestination {
  private let folder: DocumentFolder
  private let documents: EntryDocuments
  private let includesPayload: Bool

  public init(path: String, documents: EntryDocuments, includesPayload: Bool = true) {
    folder = DocumentFolder(path: path)
    self.documents = documents
    self.includesPayload = includesPayload
  }

  public func accept(_ entry: FailureEntry) async throws -> String {
    try folder.write(
      documents.encoded(entry, includesPayload: includesPayload), at: documents.key(for: entry.summary))
  }
}
