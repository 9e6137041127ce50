// swift-tools-version: 6.2

import PackageDescription

/// Every target: language mode 6, and a warning is an error.
let common: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
  .enableExperimentalFeature("Lifetimes"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

/// Targets that touch raw memory mark each unsafe expression.
let strict: [SwiftSetting] = common + [.strictMemorySafety()]

let package = Package(
  name: "sluice",
  platforms: [.macOS("26.0")],
  products: [
    .library(name: "Sluice", targets: ["Sluice"]),
    .library(name: "SluiceTesting", targets: ["SluiceTesting"]),
    .executable(name: "sluice", targets: ["SluiceCommand"]),
    // The inner rooms, for the package in Benchmarks/. No promise of stability.
    .library(
      name: "SluiceRooms",
      targets: [
        "LMDB", "StreamModel", "ShardCore", "EventPattern", "StreamStore", "LambdaRuntime", "ShardSimulation",
      ]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
    .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
    .systemLibrary(name: "CSpawn"),
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .target(name: "Locks", dependencies: ["CSpawn"], swiftSettings: strict),
    .target(name: "LMDB", dependencies: ["CLMDB", "Locks"], swiftSettings: strict),
    .target(name: "StreamModel", swiftSettings: strict),
    .target(name: "ShardCore", dependencies: ["StreamModel"], swiftSettings: common),
    .target(name: "EventPattern", dependencies: ["StreamModel"], swiftSettings: strict),
    .target(name: "TableChanges", dependencies: ["StreamModel", "EventPattern"], swiftSettings: strict),
    .target(
      name: "StreamStore", dependencies: ["StreamModel", "TableChanges", "LMDB", "Locks", "CXXHash"],
      swiftSettings: strict),
    .target(
      name: "StreamRuntime",
      dependencies: [
        "StreamModel", "ShardCore", "EventPattern", "TableChanges", "StreamStore", "Locks",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
      ],
      swiftSettings: common),
    .target(
      name: "LambdaRuntime",
      dependencies: [
        "CSpawn", "CZlib", "StreamModel", "TableChanges", "Locks",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    .target(
      name: "Destinations",
      dependencies: [
        "StreamModel", "TableChanges", "StreamStore", "StreamRuntime", "LambdaRuntime",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
      ],
      swiftSettings: strict),
    .target(
      name: "Sluice",
      dependencies: [
        "StreamModel", "ShardCore", "ShardPlan", "EventPattern", "TableChanges", "StreamStore", "StreamRuntime",
        "LambdaRuntime", "Destinations", "Locks",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: common),
    .target(
      name: "Recordings",
      dependencies: [
        "StreamModel", "EventPattern", "TableChanges", "Locks", "CXXHash", "CZlib", "CZstd",
        .product(name: "Crypto", package: "swift-crypto"),
      ],
      swiftSettings: strict),
    .target(
      name: "Replays",
      dependencies: [
        "StreamModel", "ShardCore", "StreamStore", "StreamRuntime", "LambdaRuntime", "Recordings", "Locks",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    .target(name: "SluiceTesting", dependencies: ["Sluice", "StreamModel", "ShardCore"], swiftSettings: common),
    .target(name: "ShardPlan", dependencies: ["ShardCore", "StreamModel"], swiftSettings: common),
    .target(name: "ShardSimulation", dependencies: ["ShardCore", "StreamModel"], swiftSettings: common),
    .target(
      name: "SluiceService",
      dependencies: [
        "Sluice", "Destinations", "StreamModel", "ShardCore", "StreamStore", "StreamRuntime", "LambdaRuntime",
        "EventPattern", "Locks",
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        .product(name: "Yams", package: "Yams"),
      ],
      swiftSettings: common),
    .executableTarget(
      name: "SluiceCommand",
      dependencies: [
        "SluiceService", "Sluice", "Recordings", "Replays", "ShardSimulation", "ShardPlan", "EventPattern",
        "LambdaRuntime",
        "StreamRuntime",
        "StreamModel", "TableChanges",
        "StreamStore", "Locks",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
      ],
      swiftSettings: common),
    .testTarget(name: "RepositoryTests", dependencies: ["SluiceCommand"], swiftSettings: common),
    .testTarget(
      name: "ConformanceTests",
      dependencies: [
        "Sluice", "SluiceService", "StreamRuntime", "StreamStore", "LambdaRuntime", "ShardCore", "StreamModel", "Locks",
        "Destinations",
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: common),
    .testTarget(name: "StreamModelTests", dependencies: ["StreamModel"], swiftSettings: common),
    .testTarget(name: "TableChangesTests", dependencies: ["TableChanges", "StreamModel"], swiftSettings: common),
    .testTarget(name: "EventPatternTests", dependencies: ["EventPattern", "StreamModel"], swiftSettings: common),
    .testTarget(
      name: "ReplaysTests",
      dependencies: [
        "Replays", "Recordings", "StreamRuntime", "StreamStore", "ShardCore", "StreamModel", "Locks",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: common),
    .testTarget(name: "RecordingsTests", dependencies: ["Recordings", "StreamModel"], swiftSettings: common),
    .testTarget(
      name: "LambdaRuntimeTests",
      dependencies: [
        "LambdaRuntime", "RuntimeClient", "TableChanges", "StreamModel", "Locks",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: common),
    .testTarget(
      name: "DestinationsTests",
      dependencies: [
        "Destinations", "LambdaRuntime", "StreamRuntime", "StreamStore", "ShardCore", "StreamModel", "Locks",
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: common),
    .testTarget(
      name: "SluiceServiceTests",
      dependencies: [
        "SluiceService", "Sluice", "LambdaRuntime", "StreamModel", "StreamRuntime", "ShardCore", "Locks",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
      ],
      swiftSettings: common),
    .testTarget(name: "LMDBTests", dependencies: ["LMDB"], path: "Tests/LMDBTests", swiftSettings: common),
    .target(
      name: "StoreConformance", dependencies: ["StreamModel", "ShardCore"], path: "Tests/StoreConformance",
      swiftSettings: common),
    .testTarget(
      name: "StreamStoreTests",
      dependencies: ["StreamStore", "StoreConformance", "StreamModel", "ShardCore", "LMDB", "Locks"],
      path: "Tests/StreamStoreTests", swiftSettings: common),
    .testTarget(name: "ShardCoreTests", dependencies: ["ShardCore", "StreamModel"], swiftSettings: common),
    .testTarget(
      name: "ShardPlanTests", dependencies: ["ShardPlan", "ShardCore", "StreamModel"], swiftSettings: common),
    .testTarget(
      name: "SimulationTests", dependencies: ["ShardSimulation", "StoreConformance", "ShardCore", "StreamModel"],
      swiftSettings: common),
    // Runs the built program, which lies beside the tests because they depend on it.
    .testTarget(
      name: "ProgramTests",
      dependencies: [
        "SluiceCommand", "CountingWorker", "Sluice", "Recordings", "Replays", "StreamModel", "StreamStore", "LMDB",
      ],
      swiftSettings: common),
    // A runtime for functions, as small as can be.
    .executableTarget(name: "RuntimeClient", path: "Tests/RuntimeClient"),
    // A worker for them to kill.
    .executableTarget(
      name: "CountingWorker",
      dependencies: [
        "Sluice", "ShardCore", "StreamModel", "StreamStore", .product(name: "Logging", package: "swift-log"),
      ],
      path: "Tests/CountingWorker", swiftSettings: common),
    .testTarget(
      name: "StreamRuntimeTests",
      dependencies: [
        "StreamRuntime", "StreamStore", "StreamModel", "ShardCore", "LMDB", "Locks",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: common),
    .testTarget(
      name: "SluiceTests",
      dependencies: [
        "Sluice", "StreamRuntime", "StreamStore", "StreamModel", "ShardCore",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: common),
    .testTarget(
      name: "SluiceTestingTests", dependencies: ["SluiceTesting", "Sluice", "StreamModel", "ShardCore", "Locks"],
      swiftSettings: common),
  ]
)

// What threads share, and none of the packages that speak HTTP: `make thread-sanitizer-core` builds these tests, and what they
// need, in a third of the time.
if Context.environment["SLUICE_TARGETS"] == "core" {
  var wanted = ["LMDBTests", "StreamStoreTests", "ShardCoreTests", "StreamRuntimeTests", "RecordingsTests"]
  var kept: Set<String> = []
  while let name = wanted.popLast() {
    guard kept.insert(name).inserted, let target = package.targets.first(where: { $0.name == name }) else { continue }
    for case .byNameItem(let name, _) in target.dependencies { wanted.append(name) }
  }
  package.products = []
  package.targets.removeAll { !kept.contains($0.name) }
}
