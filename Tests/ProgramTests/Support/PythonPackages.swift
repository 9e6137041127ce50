import Foundation

/// A Python with the packages of PyPI that functions need, made once for a build folder.
enum PythonPackages {
  private static let made = Task {
    let folder = Program.root.appending(path: ".build/python-functions")
    let process = Process()
    process.executableURL = Program.root.appending(path: "Scripts/python-environment")
    process.arguments = [folder.path, "awslambdaric==4.2.2", "aws-lambda-powertools==3.37.0", "boto3==1.44.5"]
    let status = try await withCheckedThrowingContinuation { continuation in
      process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
      do { try process.run() } catch { continuation.resume(throwing: error) }
    }
    guard status == 0 else { throw CocoaError(.executableLoad) }
    return folder
  }

  /// Lies in the folder as the virtual environment that a user would make there.
  static func link(into place: Workplace) async throws {
    try FileManager.default.createSymbolicLink(
      at: place.folder.appending(path: ".venv"), withDestinationURL: try await made.value)
  }
}
