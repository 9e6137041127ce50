import Metrics
import SluiceService
import Testing

@Suite("Prometheus metrics")
struct PrometheusRegistryTests {
  private let registry = PrometheusRegistry()

  private func lines(_ prefix: String) -> [String] {
    registry.render().split(separator: "\n").map(String.init).filter { $0.hasPrefix(prefix) }
  }

  @Test("counters add up, per label values, under their own name")
  func counters() {
    let labels = [("mapping", "flights-delays"), ("shard", "3")]
    Counter(label: "sluice.records-delivered", dimensions: labels, factory: registry).increment(by: 5)
    Counter(label: "sluice.records-delivered", dimensions: labels.reversed(), factory: registry).increment()
    Counter(label: "sluice.records-delivered", dimensions: [("mapping", "a\"\\\n")], factory: registry).increment()
    FloatingPointCounter(label: "cost", factory: registry).increment(by: 0.75)
    #expect(
      registry.render() == """
        # TYPE cost counter
        cost 0.75
        # TYPE sluice_records_delivered counter
        sluice_records_delivered{mapping="a\\"\\\\\\n"} 1
        sluice_records_delivered{mapping="flights-delays",shard="3"} 6

        """)
  }

  @Test("a gauge shows what was set last")
  func gauges() {
    let gauge = Gauge(label: "iterator_age", factory: registry)
    gauge.record(17)
    gauge.record(2.5)
    let meter = Meter(label: "lanes", factory: registry)
    meter.set(4)
    meter.increment(by: 2)
    meter.decrement(by: 1)
    #expect(lines("iterator_age") == ["iterator_age 2.5"])
    #expect(lines("lanes") == ["lanes 5"])
  }

  @Test("a timer is a histogram in seconds")
  func timers() {
    let timer = Timer(label: "delivery", factory: registry)
    timer.recordMilliseconds(20)
    timer.recordMilliseconds(25)
    timer.recordSeconds(1_000)
    let lines = lines("delivery")
    #expect(lines.contains(#"delivery_seconds_bucket{le="0.01"} 0"#))
    #expect(lines.contains(#"delivery_seconds_bucket{le="0.025"} 2"#))
    #expect(lines.contains(#"delivery_seconds_bucket{le="500"} 2"#))
    #expect(lines.contains(#"delivery_seconds_bucket{le="+Inf"} 3"#))
    #expect(lines.contains("delivery_seconds_sum 1000.045"))
    #expect(lines.contains("delivery_seconds_count 3"))
  }

  @Test("a recorder that aggregates is a histogram of amounts")
  func recorders() {
    let recorder = Recorder(label: "batch.records", factory: registry)
    recorder.record(100)
    recorder.record(101)
    #expect(lines("batch_records_bucket{le=\"100\"}") == [#"batch_records_bucket{le="100"} 1"#])
    #expect(lines("batch_records_count") == ["batch_records_count 2"])
  }

  @Test("beyond the limit, further label values share one series")
  func limit() {
    for number in 0..<(PrometheusRegistry.seriesLimit + 50) {
      Counter(label: "keys", dimensions: [("key", "\(number)")], factory: registry).increment()
    }
    #expect(lines("keys").count == PrometheusRegistry.seriesLimit + 1)
    #expect(lines("keys{key=\"other\"}") == [#"keys{key="other"} 50"#])
  }

  @Test("one name for two kinds becomes two names")
  func kinds() {
    Gauge(label: "same", factory: registry).record(1)
    Timer(label: "same", factory: registry).recordSeconds(1)
    Recorder(label: "same", factory: registry).record(1)
    #expect(
      lines("# TYPE").map { String($0.dropFirst(7)) } == [
        "same gauge", "same_histogram histogram", "same_seconds histogram",
      ])
  }

  @Test("counting from many tasks loses nothing")
  func concurrency() async {
    let counter = Counter(label: "many", factory: registry)
    let total = FloatingPointCounter(label: "sum", factory: registry)
    await withTaskGroup { group in
      for _ in 0..<8 {
        group.addTask {
          for _ in 0..<1_000 {
            counter.increment()
            total.increment(by: 0.5)
          }
        }
      }
    }
    #expect(lines("many") == ["many 8000"])
    #expect(lines("sum") == ["sum 4000"])
  }
}
