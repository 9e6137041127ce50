import Foundation
import Testing

@Suite("Rooms: who may see whom")
struct RoomTests {
  /// The table of ARCHITECTURE.md, as far as our own rooms go. What a room may import besides is free, unless it is
  /// listed in `forbidden`.
  static let allowed: [String: Set<String>] = [
    "Locks": [],
    "LMDB": ["CLMDB", "Locks"],
    "StreamModel": [],
    "ShardCore": ["StreamModel"],
    "EventPattern": ["StreamModel"],
    "StreamStore": ["StreamModel", "LMDB", "Locks", "CXXHash"],
    "StreamRuntime": ["StreamModel", "ShardCore", "EventPattern", "StreamStore", "Locks"],
    "LambdaRuntime": ["StreamModel", "Locks", "CSpawn"],
    "Sluice": [
      "StreamModel", "ShardCore", "EventPattern", "StreamStore", "StreamRuntime", "LambdaRuntime", "Locks",
    ],
    "SluiceTesting": ["Sluice", "StreamModel", "ShardCore", "StreamRuntime"],
    "ShardSimulation": ["ShardCore", "StreamModel"],
    "SluiceService": [
      "Sluice", "StreamModel", "ShardCore", "EventPattern", "StreamStore", "StreamRuntime", "LambdaRuntime", "Locks",
    ],
    "SluiceCommand": [
      "SluiceService", "Sluice", "ShardSimulation", "ShardCore", "EventPattern", "StreamModel", "StreamStore",
      "StreamRuntime", "LambdaRuntime", "Locks",
    ],
  ]

  /// Modules of C that have a room of their own.
  static let systemModules: Set<String> = ["CLMDB", "CXXHash", "CSpawn"]

  /// What the pure rooms and the store do without.
  static let forbidden: [String: Set<String>] = [
    "StreamModel": ["Foundation", "Glibc", "Dispatch", "Synchronization"],
    "ShardCore": ["Foundation", "Glibc", "Dispatch", "Synchronization", "Logging", "Metrics"],
    "EventPattern": ["Foundation", "Glibc", "Dispatch", "Synchronization", "Logging", "Metrics"],
    "ShardSimulation": ["Foundation", "Glibc", "Dispatch"],
    "Locks": ["Foundation", "Dispatch", "Synchronization"],
    "LMDB": ["Foundation", "Dispatch"],
    "StreamStore": ["Foundation", "Dispatch"],
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

