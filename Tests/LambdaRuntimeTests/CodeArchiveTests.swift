import Foundation
import LambdaRuntime
import Testing

/// Archives as Python's zipfile makes them.
@Suite("Code in a zip archive")
struct CodeArchiveTests {
  /// Runs `body` with a folder in which a program of Python has made `code.zip`, with `zip` open for it.
  private func with(_ lines: String, _ body: (String, CodeArchive) throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "sluice-\(UUID())").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer {
      do {
        try FileManager.default.removeItem(atPath: folder)
      } catch {
        Issue.record(error)
      }
    }
    let program = """
      import os, zipfile
      def member(name, mode):
          info = zipfile.ZipInfo(name)
          info.external_attr = mode << 16
          return info
      def damage(place, byte):
          zip.close()
          packed = bytearray(open("code.zip", "rb").read())
          packed[place] = byte
          open("code.zip", "wb").write(packed)
      zip = zipfile.ZipFile("code.zip", "w", zipfile.ZIP_DEFLATED)
      \(lines)
      zip.close()
      """
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["python3", "-c", program]
    process.currentDirectoryURL = URL(filePath: folder)
    // Waiting for it on this thread would keep it from all other tests.
    let status = try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Int32, any Error>) in
      process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
      do {
        try process.run()
      } catch {
        continuation.resume(throwing: error)
      }
    }
    try #require(status == 0)
    try body(folder, try #require(CodeArchive(at: folder + "/code.zip")))
  }

  private func problem(_ lines: String) async throws -> String {
    var found = ""
    try await with(lines) { folder, archive in
      do {
        let place = try archive.unpack(for: "orders", in: folder + "/code")
        Issue.record("it was unpacked to \(place)")
      } catch {
        found = "\(error)"
        // Of an archive that is not even begun there is no folder either.
        #expect(((try? FileManager.default.contentsOfDirectory(atPath: folder + "/code")) ?? []).isEmpty)
      }
    }
    return found
  }

  @Test("files, folders, permissions and links are as they were packed, and the second time nothing is done")
  func unpacked() async throws {
    let lines = """
      zip.writestr("orders.py", "x = 1\\n" * 10000)
      zip.writestr(member("bin/run", 0o100755), "#!/bin/sh\\n")
      zip.writestr(member("empty/", 0o040755), "")
      zip.writestr("deep/er/none", "")
      zip.writestr(member("bin/same", 0o120777), "../deep/er/none")
      zip.writestr("stored", "as it is", compress_type=zipfile.ZIP_STORED)
      zip.comment = b"of a build"
      """
    try await with(lines) { folder, archive in
      let place = try archive.unpack(for: "orders", in: folder + "/code")
      let files = FileManager.default
      #expect(place == folder + "/code/" + archive.folderName(for: "orders"))
      #expect(files.contents(atPath: place + "/orders.py") == Data(String(repeating: "x = 1\n", count: 10_000).utf8))
      #expect(files.contents(atPath: place + "/stored") == Data("as it is".utf8))
      #expect(files.contents(atPath: place + "/deep/er/none") == Data())
      #expect(files.isExecutableFile(atPath: place + "/bin/run"))
      #expect(try files.destinationOfSymbolicLink(atPath: place + "/bin/same") == "../deep/er/none")
      #expect(try files.contentsOfDirectory(atPath: place + "/empty").isEmpty)
      try files.removeItem(atPath: place + "/stored")
      #expect(try archive.unpack(for: "orders", in: folder + "/code") == place)
      #expect(!files.fileExists(atPath: place + "/stored"))
      #expect(try archive.unpack(for: "others", in: folder + "/code") != place)
      try CodeArchive.removeUnpacked(in: folder + "/code", besides: [archive.folderName(for: "others")])
      #expect(try files.contentsOfDirectory(atPath: folder + "/code") == [archive.folderName(for: "others")])
    }
  }

  @Test(
    "what would leave its folder, or cannot be read, is refused, and nothing of it stays",
    arguments: [
      (#"zip.writestr("a", "1"); zip.writestr("../b", "2")"#, "../b: leads out of the folder that it is unpacked in"),
      (#"zip.writestr("/etc/b", "2")"#, "/etc/b: leads out of the folder that it is unpacked in"),
      (
        #"zip.writestr(member("a/l", 0o120777), "../../b")"#,
        "a/l: a link that leads out of the folder that it is unpacked in"
      ),
      (
        #"zip.writestr(member("l", 0o120777), "/etc")"#, "l: a link that leads out of the folder that it is unpacked in"
      ),
      (
        #"zip.writestr(member("l", 0o120777), "a/.."); zip.writestr("l/b", "2")"#,
        "l: a link that leads out of the folder that it is unpacked in"
      ),
      (#"zip.writestr(member("l", 0o120777), "a"); zip.writestr("l/b", "2")"#, "l/b: its folder is a link"),
      (
        #"zip.writestr("a", "1", compress_type=zipfile.ZIP_BZIP2)"#, "a: is packed with method 12; only deflate is read"
      ),
      (
        #"zip.close(); open("code.zip", "wb").write(b"no zip" * 9)"#,
        "is not a zip archive"
      ),
      (
        #"zip.writestr("a", "abc" * 99); damage(31, 7)"#,
        "a: is damaged"
      ),
      (
        #"zip.writestr("a", "abc", compress_type=zipfile.ZIP_STORED); damage(31, 7)"#,
        "a: its checksum is wrong"
      ),
    ])
  func refused(lines: String, reason: String) async throws {
    #expect(try await problem(lines).hasSuffix("code.zip: \(reason)"))
  }

  @Test("another file has another stamp, and none has none")
  func stamps() async throws {
    try await with(#"zip.writestr("a", "1")"#) { folder, archive in
      try Data("larger than it was before, this time".utf8).write(to: URL(filePath: folder + "/code.zip"))
      let other = try #require(CodeArchive(at: folder + "/code.zip"))
      #expect(other.stamp != archive.stamp)
      #expect(CodeArchive(at: folder + "/none.zip") == nil)
      #expect(CodeArchive(at: folder) == nil)
    }
  }
}
