// swift-tools-version: 6.2

import PackageDescription

let package = Package(
  name: "benchmarks",
  platforms: [.macOS("26.0")],
  dependencies: [
    .package(name: "sluice", path: ".."),
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
  ],
  targets: [
    .executableTarget(
      name: "Layout",
      dependencies: [
        .product(name: "SluiceRooms", package: "sluice"),
        .product(name: "Benchmark", package: "benchmark"),
      ],
      path: "Benchmarks/Layout",
      plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
    .executableTarget(
      name: "Core",
      dependencies: [
        .product(name: "SluiceRooms", package: "sluice"),
        .product(name: "Benchmark", package: "benchmark"),
      ],
      path: "Benchmarks/Core",
      plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
  ]
)
