import Foundation

/// The code of a function in a zip archive, as it would be given to Lambda.
public struct CodeArchive: Hashable, Sendable {
  public var path: String
  /// Another one when the file is another one: its size and when it was written.
  public let stamp: String

  /// `nil` if there is no such file.
  public init?(at path: String) {
    guard
      let attributes = try? FileManager.default.attributesOfItem(atPath: (path as NSString).resolvingSymlinksInPath),
      attributes[.type] as? FileAttributeType == .typeRegular, let size = attributes[.size] as? Int,
      let written = attributes[.modificationDate] as? Date
    else { return nil }
    self.path = path
    self.stamp = "\(String(Int64(written.timeIntervalSince1970 * 1_000), radix: 36))-\(String(size, radix: 36))"
  }

  /// The name of the folder with the unpacked code, for a function of this name.
  public func folderName(for function: String) -> String { "\(function)-\(stamp)" }

  /// Unpacks it below `folder`, unless that was done before, and gives the path of its own folder there. Done by several
  /// at once it is done once, and never by half. Throws ``CodeProblem``.
  public func unpack(for function: String, in folder: String) throws -> String {
    let target = "\(folder)/\(folderName(for: function))"
    let files = FileManager.default
    if files.fileExists(atPath: target) { return target }
    guard let data = files.contents(atPath: path) else { throw CodeProblem(path, "cannot be read") }
    let archive = try ZipArchive(Array(data), source: path)
    let draft = "\(folder)/.\(function)-\(UUID().uuidString)"
    do {
      try files.createDirectory(atPath: draft, withIntermediateDirectories: true)
      var links: Set<[String]> = []
      for member in archive.members {
        guard !member.path.indices.dropFirst().contains(where: { links.contains(Array(member.path[..<$0])) }) else {
          throw CodeProblem(path, "\(member.name): its folder is a link")
        }
        if member.kind == .link { links.insert(member.path) }
        try write(member, of: archive, below: draft)
      }
      if unsafe rename(draft, target) != 0, !files.fileExists(atPath: target) {
        throw CodeProblem(path, unsafe "cannot be unpacked to \(target): \(String(cString: strerror(errno)))")
      }
    } catch {
      try? files.removeItem(atPath: draft)
      if error is CodeProblem { throw error }
      throw CodeProblem(path, "cannot be unpacked below \(folder): \(error.localizedDescription)")
    }
    // Somebody else was first.
    if files.fileExists(atPath: draft) { try files.removeItem(atPath: draft) }
    return target
  }

  private func write(_ member: ZipArchive.Member, of archive: ZipArchive, below root: String) throws {
    let files = FileManager.default
    let place = "\(root)/\(member.name)"
    guard member.kind != .folder else {
      return try files.createDirectory(atPath: place, withIntermediateDirectories: true)
    }
    guard !member.path.isEmpty else { throw CodeProblem(path, "has a member without a name") }
    let contents = try archive.contents(of: member)
    try files.createDirectory(
      atPath: (place as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    if member.kind == .link {
      let target = String(decoding: contents, as: UTF8.self)
      guard Self.staysInside(target, from: member.path.dropLast()) else {
        throw CodeProblem(path, "\(member.name): a link that leads out of the folder that it is unpacked in")
      }
      return try files.createSymbolicLink(atPath: place, withDestinationPath: target)
    }
    // A link may be where the file should go.
    guard !files.fileExists(atPath: place) else { throw CodeProblem(path, "\(member.name): is there twice") }
    try Data(contents).write(to: URL(filePath: place))
    let mode = (member.mode == 0 ? 0o644 : member.mode) | 0o600
    try files.setAttributes([.posixPermissions: Int(mode)], ofItemAtPath: place)
  }

  /// Upwards only at its start: behind a name that is a link itself it could lead anywhere.
  private static func staysInside(_ target: String, from parent: ArraySlice<String>) -> Bool {
    let parts = target.split(separator: "/").filter { $0 != "." }
    let upwards = parts.prefix { $0 == ".." }.count
    return !target.hasPrefix("/") && upwards <= parent.count && !parts.dropFirst(upwards).contains("..")
  }

  /// Removes what was unpacked below `folder` for archives that are no more.
  public static func removeUnpacked(in folder: String, besides kept: Set<String>) throws {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] where !kept.contains(name) {
      try FileManager.default.removeItem(atPath: "\(folder)/\(name)")
    }
  }
}
