import Foundation

/// What somebody should know although the command goes on.
enum Warning {
  static func write(_ text: String) { FileHandle.standardError.write(Data("sluice: \(text)\n".utf8)) }
}
