import StreamModel
import Testing

@Suite("Record runs and batches")
struct RecordRunTests {
  private struct Sample {
    var key: String
    var data: [UInt8]
    var explicitHashKey: HashKey?
    var arrivalDelta: UInt32 = 0
  }

  private static func packed(_ samples: [Sample]) -> [UInt8] {
    var bytes: [UInt8] = []
    for sample in samples {
      Array(sample.key.utf8).withUnsafeBytes { key in
        sample.data.withUnsafeBytes { data in
          RecordLayout.append(
            partitionKey: key, data: data, explicitHashKey: sample.explicitHashKey,
            arrivalDelta: sample.arrivalDelta, to: &bytes)
        }
      }
    }
    return bytes
  }

  private static func append(
    _ samples: [Sample], at arrival: Int64, to builder: inout RecordRunBuilder
  ) -> Bool {
    packed(samples).withUnsafeBytes {
      builder.append(
        packed: $0, recordCount: samples.count, firstArrival: WallTime(milliseconds: arrival))
    }
  }

  private static let origin = BatchOrigin(
    stream: "flights", shard: ShardNumber(3), shardCreatedAtSeconds: 1_790_000_000, attempt: 1)

  @Test("a batch gives back what was packed, over several blocks with their own arrivals")
  func views() {
    let first = [
      Sample(key: "a", data: [1, 2, 3]), Sample(key: "é", data: [], arrivalDelta: 5),
    ]
    let second = [
      Sample(key: "explicit", data: [255], explicitHashKey: HashKey(1 << 127 | 7), arrivalDelta: 1)
    ]
    let third = [Sample(key: "last", data: Array(repeating: 9, count: 70_000), arrivalDelta: .max)]
    var builder = RecordRunBuilder(firstIndex: RecordIndex(100))
    for (samples, arrival) in [(first, 1_000), (second, 2_000), (third, 500)] as [([Sample], Int64)] {
      let isAppended = Self.append(samples, at: arrival, to: &builder)
      #expect(isAppended)
    }
    let run = builder.finish()
    let batch = RecordBatch(origin: Self.origin, run: run, range: 0..<4)

    let samples = first + second + third
    for (position, sample) in samples.enumerated() {
      #expect(batch[position].partitionKey == sample.key)
      #expect(batch[position].dataBytes == sample.data)
      #expect(batch[position].data.byteCount == sample.data.count)
      #expect(batch[position].explicitHashKey == sample.explicitHashKey)
      #expect(batch[position].sequenceNumber.index == RecordIndex(100 + UInt64(position)))
    }
    #expect((0..<4).map { batch.arrival(at: $0).milliseconds } == [1_000, 1_005, 2_001, 500 + Int64(UInt32.max)])
    #expect(batch.firstIndex == RecordIndex(100))
    #expect(batch.lastIndex == RecordIndex(103))
    #expect(run.endIndex == RecordIndex(104))
    #expect(run.packedByteCount(0..<4) == Self.packed(samples).count)
  }

  @Test("a batch in the middle of a run begins with its own first record")
  func middle() {
    var builder = RecordRunBuilder(firstIndex: RecordIndex(7))
    let isAppended = Self.append((0..<5).map { Sample(key: "k\($0)", data: [$0]) }, at: 0, to: &builder)
    #expect(isAppended)
    let batch = RecordBatch(origin: Self.origin, run: builder.finish(), range: 2..<4)
    #expect(batch.count == 2)
    #expect(batch[0].partitionKey == "k2")
    #expect(batch.sequenceNumber(at: 1).index == RecordIndex(10))
    #expect(batch.packedBytes.count == Self.packed([Sample(key: "k2", data: [2]), Sample(key: "k3", data: [3])]).count)
  }

  @Test("bytes that are not exactly so many records are refused, and nothing of them stays")
  func malformed() {
    let good = Self.packed([Sample(key: "a", data: [1]), Sample(key: "b", data: [2])])
    var builder = RecordRunBuilder(firstIndex: .zero)
    for cut in 1...good.count {
      let isAppended = good.dropLast(cut).withUnsafeBytes {
        builder.append(packed: $0, recordCount: 2, firstArrival: .zero)
      }
      #expect(!isAppended, "cut \(cut)")
    }
    for count in [0, 1, 3] {
      let isAppended = good.withUnsafeBytes { builder.append(packed: $0, recordCount: count, firstArrival: .zero) }
      #expect(!isAppended, "count \(count)")
    }
    #expect(builder.count == 0)
    #expect(builder.byteCount == 0)
    let isAppended = good.withUnsafeBytes { builder.append(packed: $0, recordCount: 2, firstArrival: .zero) }
    #expect(isAppended)
    #expect(builder.finish().count == 2)
  }

  @Test("a record that claims more bytes than there are is refused")
  func lyingHeader() {
    var bytes = Self.packed([Sample(key: "a", data: [1])])
    bytes[4] = 255
    var builder = RecordRunBuilder(firstIndex: .zero)
    let isAppended = bytes.withUnsafeBytes { builder.append(packed: $0, recordCount: 1, firstArrival: .zero) }
    #expect(!isAppended)
  }

  @Test("memory is reused only when nobody holds the old run any more")
  func recycling() {
    var builder = RecordRunBuilder(firstIndex: .zero)
    let isAppended = Self.append([Sample(key: "kept", data: Array(repeating: 1, count: 10_000))], at: 1, to: &builder)
    #expect(isAppended)
    var run: RecordRun? = builder.finish()
    var batch: RecordBatch? = run.map { RecordBatch(origin: Self.origin, run: $0, range: 0..<1) }

    let fresh = RecordRunBuilder(recycling: run, firstIndex: RecordIndex(1)).finish()
    #expect(fresh.capacityInBytes < 10_000)
    #expect(batch?[0].partitionKey == "kept")

    batch = nil
    let recycled = RecordRunBuilder(recycling: run.take(), firstIndex: RecordIndex(1)).finish()
    #expect(recycled.capacityInBytes >= 10_000)
    #expect(recycled.count == 0)
    #expect(recycled.firstIndex == RecordIndex(1))
  }
}
