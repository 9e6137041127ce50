/// What is wrong with a file that is imported, and where.
public struct ImportProblem: Error, Hashable, Sendable, CustomStringConvertible {
  public var file: String
  public var problem: RecordingProblem

  public var description: String { "\(file): \(problem)" }
}

/// Why an import ends.
public enum ImportError: Error, Hashable, Sendable, CustomStringConvertible {
  /// A file holds what cannot be used.
  case problem(ImportProblem)
  /// The system refused to read a file.
  case file(RecordingFileError)
  /// The system refused to hold what waits to be put in order.
  case sorting(RecordingFileError)

  public var description: String {
    switch self {
    case .problem(let problem): "\(problem)"
    case .file(let error), .sorting(let error): "\(error)"
    }
  }
}
