import ArgumentParser

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Load test of this machine, or of a running worker.",
    discussion: """
      Each works on a store of its own below --directory, which is removed afterwards, and tells the median of its runs. \
      Only put --stream goes to a worker that runs.

      Examples:
        sluice bench put --producers 8 --records-per-put 500
        sluice bench put --stream load
        sluice bench drain --records 5000000 --batch-size 500
        sluice bench drain --shards 1000 --handler-milliseconds 10 --batch-size 10 --records 1000000
        sluice bench keys --failing-percent 10
        sluice bench latency --durability system
        sluice bench start --gigabytes 4
        sluice bench record --runs 5
        sluice bench replay --retries 100000
        sluice bench encode --batch-size 100
        sluice bench invoke --callers 1 --command python3 -m awslambdaric orders.handler
      """,
    subcommands: [
      BenchPut.self, BenchDrain.self, BenchKeys.self, BenchLatency.self, BenchStart.self, BenchIdle.self,
      BenchFirstDelivery.self, BenchEncode.self, BenchInvoke.self, BenchRecord.self, BenchReplay.self,
    ])
}

struct BenchOptions: ParsableArguments {
  @Option(help: "Where to put the store of the test.") var directory: String?
  @Option(help: "commit, interval or system.") var durability: BenchDurability = .commit
  @Option(help: "Bytes of data in each record.") var recordBytes = 256
  @Option(help: "Counted runs; one more goes before them to warm up.") var runs = 3
  @OptionGroup var output: FormatOption
}

enum BenchDurability: String, ExpressibleByArgument, CaseIterable {
  case commit
  case interval
  case system
}
