import LambdaRuntime
import StreamModel

/// A record to put into a batch.
struct Sample {
  var key: String
  var data: [UInt8]
  var hops = 0
}

/// A batch of the stream `flights`, shard 3, beginning at index 10, which arrived at 1789651658.123.
func batch(_ samples: [Sample]) -> RecordBatch {
  var bytes: [UInt8] = []
  for sample in samples {
    Array(sample.key.utf8).withUnsafeBytes { key in
      sample.data.withUnsafeBytes { data in
        RecordLayout.append(
          partitionKey: key, data: data, explicitHashKey: nil, lineage: Lineage(hops: sample.hops), to: &bytes)
      }
    }
  }
  var builder = RecordRunBuilder(firstIndex: RecordIndex(10))
  let isAppended = bytes.withUnsafeBytes {
    builder.append(
      packed: $0, recordCount: samples.count, firstArrival: WallTime(milliseconds: 1_789_651_658_123))
  }
  precondition(isAppended)
  let origin = BatchOrigin(
    stream: "flights", shard: ShardNumber(3), shardCreatedAtSeconds: 1_790_000_000, attempt: 1)
  return RecordBatch(origin: origin, run: builder.finish(), range: 0..<samples.count)
}

/// A batch of `count` records with the data "0", "1", and so on.
func batch(count: Int) -> RecordBatch {
  batch((0..<count).map { Sample(key: "key\($0)", data: Array(String($0).utf8)) })
}

/// The event of a batch.
func event(_ batch: RecordBatch, identity: EventIdentity = EventIdentity()) -> [UInt8] {
  var buffer = EventBuffer()
  EventWriter(identity: identity, stream: batch.origin.stream).write(batch, into: &buffer)
  return buffer.bytes
}
