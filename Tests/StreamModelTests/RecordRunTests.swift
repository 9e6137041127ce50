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
    #expect(run.packedBytes(0..<4).elementsEqual(Self.packed(samples)))
    #expect((0..<4).map(run.packedByteCount(at:)) == samples.map { Self.packed([$0]).count })
  }

  @Test("a batch in the middle of a run begins with its own first record")
  func middle() {
    var builder = RecordRunBuilder(firstIndex: RecordIndex(7))
    let isAppended = Self.append((0..<5).map { Sample(key: "k\($0)", data: [$0]) }, at: 0, to: &builder)
    #expect(isAppended)
    let run = builder.finish()
    let batch = RecordBatch(origin: Self.origin, run: run, range: 2..<4)
    #expect(batch.count == 2)
    #expect(batch[0].partitionKey == "k2")
    #expect(batch.sequenceNumber(at: 1).index == RecordIndex(10))
    let packed = Self.packed([Sample(key: "k2", data: [2]), Sample(key: "k3", data: [3])])
    #expect(run.packedBytes(2..<4).elementsEqual(packed))
    #expect(batch.address(at: 1) == run.address(at: 3))
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

  /// Three blocks of four records: k0 ... k11, with data of their own number, at 1,000, 2,000 and 3,000 plus the number.
  private static func twelve() -> RecordRun {
    var builder = RecordRunBuilder(firstIndex: RecordIndex(50))
    for block in 0..<3 {
      let samples = (0..<4).map { place in
        let number = block * 4 + place
        return Sample(
          key: "k\(number)", data: Array(repeating: UInt8(number), count: number), arrivalDelta: UInt32(number))
      }
      _ = append(samples, at: Int64(1_000 * (block + 1)), to: &builder)
    }
    return builder.finish()
  }

  @Test(
    "picked records are those of the run, without the others",
    arguments: [[0..<12], [0..<1, 3..<6, 11..<12], [2..<9], [5..<6], [1..<4, 4..<5, 8..<10]])
  func picked(ranges: [Range<Int>]) {
    let run = Self.twelve()
    var picker = RecordPicker(from: run, countLimit: 12)
    for range in ranges { picker.pick(range) }
    let picked = picker.finish()
    let positions = ranges.flatMap { Array($0) }
    #expect(picked.count == positions.count && picked.isSparse)
    let batch = RecordBatch(origin: Self.origin, run: picked, range: 0..<picked.count)
    for (place, position) in positions.enumerated() {
      #expect(batch[place].partitionKey == "k\(position)")
      #expect(batch[place].dataBytes == Array(repeating: UInt8(position), count: position))
      #expect(batch.index(at: place) == run.index(at: position))
      #expect(batch.arrival(at: place) == run.arrival(at: position))
      #expect(picked.packedByteCount(at: place) == run.packedByteCount(at: position))
      #expect(picked.position(atOrAfter: run.index(at: position)) == place)
    }
    #expect(picked.endIndex == run.index(at: positions[positions.count - 1]).advanced(by: 1))
    for range in ranges {
      let place = picked.position(atOrAfter: run.index(at: range.lowerBound))
      #expect(picked.packedBytes(place..<place + range.count).elementsEqual(run.packedBytes(range)))
    }
  }

  @Test("records are picked of picked ones, and copied from them")
  func pickedTwice() {
    let run = Self.twelve()
    var first = RecordPicker(from: run, countLimit: 6)
    for position in stride(from: 1, to: 12, by: 2) { first.pick(position..<position + 1) }
    let odd = first.finish()
    var second = RecordPicker(from: odd, countLimit: 3)
    second.pick(1..<3)
    second.pick(5..<6)
    let picked = second.finish()
    #expect((0..<3).map(picked.index(at:)) == [RecordIndex(53), RecordIndex(55), RecordIndex(61)])
    #expect((0..<3).map { picked.arrival(at: $0).milliseconds } == [1_003, 2_005, 3_011])
    var builder = RecordRunBuilder(firstIndex: .zero)
    for position in 0..<3 {
      let isAppended = builder.append(recordsAt: position..<position + 1, of: picked)
      #expect(isAppended)
    }
    let copy = builder.finish()
    let batch = RecordBatch(origin: Self.origin, run: copy, range: 0..<3)
    #expect((0..<3).map { batch[$0].partitionKey } == ["k3", "k5", "k11"])
    #expect((0..<3).map(batch.arrival(at:)) == (0..<3).map(picked.arrival(at:)))
  }

  /// The same twelve records: as they were read, copied with a gap before the last ones, and picked.
  private static func twelveAs(_ kind: String) -> (run: RecordRun, indexes: [RecordIndex]) {
    let run = twelve()
    switch kind {
    case "sparse":
      var builder = RecordRunBuilder(firstIndex: .zero)
      var samples = (0..<8).map { Sample(key: "k\($0)", data: Array(repeating: UInt8($0), count: $0), arrivalDelta: 0) }
      for place in samples.indices { samples[place].arrivalDelta = UInt32(place) }
      _ = append(Array(samples[0..<4]), at: 1_000, to: &builder)
      _ = append(Array(samples[4..<8]), at: 2_000, to: &builder)
      let start = builder.finish()
      builder = RecordRunBuilder(firstIndex: .zero)
      _ = builder.append(recordsAt: 0..<1, of: start)
      _ = builder.append(recordsAt: 3..<8, of: start)
      return (builder.finish(), [0, 3, 4, 5, 6, 7].map { RecordIndex($0) })
    case "picked":
      var picker = RecordPicker(from: run, countLimit: 12)
      for range in [0..<2, 3..<9] { picker.pick(range) }
      return (picker.finish(), [50, 51, 53, 54, 55, 56, 57, 58].map { RecordIndex($0) })
    default:
      return (run, (50..<62).map { RecordIndex($0) })
    }
  }

  @Test(
    "records that are copied in pieces are those that are copied one by one",
    arguments: ["dense", "sparse", "picked"], [[0..<6], [0..<1, 2..<5], [1..<4, 4..<5], [3..<3, 5..<6], [2..<3]])
  func copiedInPieces(kind: String, ranges: [Range<Int>]) {
    let (source, indexes) = Self.twelveAs(kind)
    var pieces = RecordRunBuilder(firstIndex: .zero)
    var singles = RecordRunBuilder(firstIndex: .zero)
    for range in ranges {
      let isAppended = pieces.append(recordsAt: range, of: source)
      #expect(isAppended)
      for position in range { _ = singles.append(recordsAt: position..<position + 1, of: source) }
    }
    let positions = ranges.flatMap { Array($0) }
    let runs = [pieces.finish(), singles.finish()]
    for run in runs {
      #expect(run.count == positions.count)
      let original = RecordBatch(origin: Self.origin, run: source, range: 0..<source.count)
      let batch = RecordBatch(origin: Self.origin, run: run, range: 0..<run.count)
      for (place, position) in positions.enumerated() {
        #expect(batch.index(at: place) == indexes[position])
        #expect(batch[place].partitionKey == original[position].partitionKey)
        #expect(batch[place].dataBytes == original[position].dataBytes)
        #expect(batch.arrival(at: place) == source.arrival(at: position))
      }
      #expect(run.endIndex == indexes[positions[positions.count - 1]].advanced(by: 1))
    }
    #expect(runs[0].isSparse == runs[1].isSparse)
    #expect(runs[0].packedByteCount == runs[1].packedByteCount)
  }

  @Test("a record too far from the first of its run is not copied, nor are those with it")
  func tooFar() {
    var builder = RecordRunBuilder(firstIndex: RecordIndex(1))
    _ = Self.append([Sample(key: "near", data: [1])], at: 1, to: &builder)
    let near = builder.finish()
    builder = RecordRunBuilder(firstIndex: RecordIndex(1 << 32))
    _ = Self.append([Sample(key: "edge", data: [2]), Sample(key: "far", data: [3])], at: 2, to: &builder)
    let far = builder.finish()
    builder = RecordRunBuilder(firstIndex: .zero)
    let isNear = builder.append(recordsAt: 0..<1, of: near)
    let isFar = builder.append(recordsAt: 0..<2, of: far)
    let isEdge = builder.append(recordsAt: 0..<1, of: far)
    #expect(isNear && !isFar && isEdge)
    let run = builder.finish()
    #expect(run.count == 2)
    #expect((0..<2).map(run.index(at:)) == [RecordIndex(1), RecordIndex(1 << 32)])
  }

  @Test("a picked run keeps the memory of its source until it is let go of")
  func released() {
    var run: RecordRun? = Self.twelve()
    var picked: RecordRun?
    if let run {
      var picker = RecordPicker(from: run, countLimit: 1)
      picker.pick(11..<12)
      picked = picker.finish()
    }
    let size = run?.capacityInBytes ?? 0
    let other = RecordRunBuilder(recycling: run.take(), firstIndex: .zero).finish()
    #expect(other.capacityInBytes < size)
    #expect(picked.map { RecordBatch(origin: Self.origin, run: $0, range: 0..<1)[0].partitionKey } == "k11")

    run = Self.twelve()
    if let run {
      var picker = RecordPicker(recycling: picked.take(), from: run, countLimit: 1)
      picker.pick(0..<1)
      picked = picker.finish()
    }
    RecordRun.release(&picked)
    let recycled = RecordRunBuilder(recycling: run.take(), firstIndex: .zero).finish()
    #expect(recycled.capacityInBytes == size)
  }
}
