import Foundation
import Testing

@Suite("Rooms: who may see whom")
struct RoomTests {
  /// The table of ARCHITECTURE.md, as far as our own rooms go. What a room may import besides is free, unless it is
  /// listed in `forbidden`.
  static let allowed: [String: Set<String>] = [
    "Locks": ["CSpawn"],
    "LMDB": ["CLMDB", "Locks"],
    "StreamModel": [],
    "ShardCore": ["StreamModel"],
    "EventPattern": ["StreamModel"],
    "TableChanges": ["StreamModel", "EventPattern"],
    "StreamStore": ["StreamModel", "TableChanges", "LMDB", "Locks", "CXXHash"],
    "StreamRuntime": ["StreamModel", "ShardCore", "EventPattern", "TableChanges", "StreamStore", "Locks"],
    "LambdaRuntime": ["StreamModel", "TableChanges", "Locks", "CSpawn", "CZlib"],
    "Destinations": ["StreamModel", "TableChanges", "StreamStore", "StreamRuntime", "LambdaRuntime"],
    "Sluice": [
      "StreamModel", "ShardCore", "ShardPlan", "EventPattern", "TableChanges", "StreamStore", "StreamRuntime",
      "LambdaRuntime", "Destinations",
      "Locks",
    ],
    "Recordings": ["StreamModel", "EventPattern", "TableChanges", "Locks", "CXXHash", "CZlib", "CZstd"],
    "Replays": [
      "StreamModel", "ShardCore", "StreamStore", "StreamRuntime", "LambdaRuntime", "Recordings", "Locks",
    ],
    "SluiceTesting": ["Sluice", "StreamModel", "ShardCore", "StreamRuntime"],
    "ShardPlan": ["ShardCore", "StreamModel"],
    "ShardSimulation": ["ShardCore", "StreamModel"],
    "SluiceService": [
      "Sluice", "StreamModel", "ShardCore", "EventPattern", "StreamStore", "StreamRuntime", "LambdaRuntime",
      "Destinations", "Locks",
    ],
    "SluiceCommand": [
      "SluiceService", "Sluice", "Recordings", "Replays", "ShardSimulation", "ShardPlan", "ShardCore",
      "EventPattern",
      "StreamModel", "TableChanges",
      "StreamStore",
      "StreamRuntime", "LambdaRuntime", "Locks",
    ],
  ]

  /// Modules of C that have a room of their own.
  static let systemModules: Set<String> = ["CLMDB", "CXXHash", "CSpawn", "CZlib", "CZstd"]

  /// What the pure rooms and the store do without.
  static let forbidden: [String: Set<String>] = [
    "StreamModel": ["Foundation", "Glibc", "Dispatch", "Synchronization"],
    "ShardCore": ["Foundation", "Glibc", "Dispatch", "Synchronization", "Logging", "Metrics"],
    "EventPattern": ["Foundation", "Glibc", "Dispatch", "Synchronization", "Logging", "Metrics"],
    "TableChanges": ["Foundation", "Glibc", "Dispatch", "Synchronization", "Logging", "Metrics"],
    "ShardPlan": ["Foundation", "Glibc", "Dispatch", "Synchronization", "Logging", "Metrics"],
    "ShardSimulation": ["Foundation", "Glibc", "Dispatch"],
    "Locks": ["Foundation", "Dispatch", "Synchronization"],
    "LMDB": ["Foundation", "Dispatch"],
    "StreamStore": ["Foundation", "Dispatch"],
    "Recordings": ["Foundation", "Dispatch", "Logging", "Metrics"],
  ]

  @Test("each room imports only the rooms that the map allows", arguments: allowed.keys.sorted())
  func importsFollowTheMap(room: String) throws {
    let allowed = try #require(Self.allowed[room])
    let rooms = Set(Self.allowed.keys).union(Self.systemModules)
    let files = try Repository.swiftFiles(below: "Sources/\(room)")
    #expect(!files.isEmpty, "the room has no sources")
    for file in files {
      let imports = try Repository.imports(of: file)
      #expect(imports.intersection(rooms).subtracting([room]).subtracting(allowed).isEmpty, "\(file.path)")
      #expect(imports.intersection(Self.forbidden[room] ?? []).isEmpty, "\(file.path)")
    }
  }

  @Test("every folder of Sources is a room of the map")
  func everyFolderIsARoom() throws {
    let folders = try FileManager.default.contentsOfDirectory(atPath: Repository.root.appending(path: "Sources").path)
    #expect(Set(folders) == Set(Self.allowed.keys).union(Self.systemModules))
    let map = try String(contentsOf: Repository.root.appending(path: "ARCHITECTURE.md"), encoding: .utf8)
    for folder in folders { #expect(map.contains("`\(folder)`"), "ARCHITECTURE.md does not name \(folder)") }
  }

  @Test("locks are those that the thread sanitizer follows: of Synchronization only atomics are used")
  func locksAreFollowed() throws {
    for file in try Repository.swiftFiles(below: "Sources") {
      let text = try String(contentsOf: file, encoding: .utf8)
      #expect(!text.contains("import struct Synchronization.Mutex"), "\(file.lastPathComponent)")
      guard text.contains("import Synchronization") else { continue }
      #expect(!text.contains("Mutex"), "\(file.lastPathComponent) may take Swift's Mutex for ours")
    }
  }

  @Test("what is inlinable is public: what only the package sees is never inlined in another room")
  func inlinableIsPublic() throws {
    for file in try Repository.swiftFiles(below: "Sources") {
      let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
      for (line, next) in zip(lines, lines.dropFirst()) where line.contains("@inlinable") {
        #expect(!line.contains("package ") && !next.contains("package "), "\(file.lastPathComponent): \(next)")
      }
    }
  }

  @Test("the core, the filters and the simulator read no clock and throw no dice of their own")
  func coreIsPure() throws {
    let words = ["ContinuousClock", "SuspendingClock", "SystemRandomNumberGenerator", ".random(in:", "clock_gettime"]
    for room in ["StreamModel", "ShardCore", "EventPattern", "TableChanges", "ShardPlan", "ShardSimulation"] {
      for file in try Repository.swiftFiles(below: "Sources/\(room)") {
        let text = try String(contentsOf: file, encoding: .utf8)
        for word in words where text.contains(word) {
          // A generator that was handed in may be used; only the system's own may not.
          #expect(word == ".random(in:" && text.contains("using:"), "\(file.lastPathComponent) uses \(word)")
        }
      }
    }
  }
}

enum Repository {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  static func swiftFiles(below path: String) throws -> [URL] {
    let folder = root.appending(path: path)
    let walker = try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
    return walker.compactMap { $0 as? URL }.filter { $0.pathExtension == "swift" }
  }

  /// The modules that a file imports, whatever stands before and behind the word.
  static func imports(of file: URL) throws -> Set<String> {
    let text = try String(contentsOf: file, encoding: .utf8)
    let names = text.split(separator: "\n").compactMap { line -> String? in
      let words = line.split(separator: " ")
      guard let position = words.firstIndex(of: "import"), position <= 2, position + 1 < words.count else { return nil }
      let prefixes: Set<Substring> = [
        "public", "internal", "private", "fileprivate", "package", "@testable", "@_exported",
      ]
      guard words[..<position].allSatisfy({ prefixes.contains($0) }) else { return nil }
      // Of `import struct Module.Name` the module.
      let kinds: Set<Substring> = ["struct", "enum", "protocol", "func", "class", "typealias", "let", "var"]
      let module = kinds.contains(words[position + 1]) ? words.dropFirst(position + 2).first : words[position + 1]
      return module?.split(separator: ".").first.map(String.init)
    }
    return Set(names)
  }
}
