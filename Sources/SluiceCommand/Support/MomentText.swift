import Foundation
import StreamModel

/// Moments as they are written on the command line.
enum MomentText {
  /// `2026-11-21T08:00:00Z`, also with milliseconds.
  static func parse(_ text: String, _ option: String) throws -> WallTime {
    let styles = [Date.ISO8601FormatStyle(), Date.ISO8601FormatStyle(includingFractionalSeconds: true)]
    for style in styles {
      guard let date = try? Date(text, strategy: style) else { continue }
      return WallTime(milliseconds: Int64((date.timeIntervalSince1970 * 1_000).rounded()))
    }
    throw Problem(Exit.wrongUsage, "\(option) is \(text): write a time such as 2026-11-21T08:00:00Z")
  }
}
