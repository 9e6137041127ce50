import Foundation
import LambdaRuntime
import StreamModel
import Testing

@Suite("Event writer")
struct EventWriterTests {
  @Test("one record is written exactly as AWS writes it")
  func exact() {
    let sample = batch([Sample(key: "pk", data: Array("hello".utf8))])
    let number = sample.sequenceNumber(at: 0).description
    #expect(
      String(decoding: event(sample), as: UTF8.self) == """
        {"Records":[{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"pk","sequenceNumber":"\(number)",\
        "data":"aGVsbG8=","approximateArrivalTimestamp":1789651658.123},"eventSource":"aws:kinesis",\
        "eventVersion":"1.0","eventID":"shardId-000000000003:\(number)","eventName":"aws:kinesis:record",\
        "invokeIdentityArn":"arn:aws:iam::000000000000:role/sluice","awsRegion":"us-east-1",\
        "eventSourceARN":"arn:aws:kinesis:us-east-1:000000000000:stream/flights"}]}
        """)
  }

  @Test("records that were delivered before are marked with a member of our own, if the batch says so")
  func marked() throws {
    var sample = batch(count: 3)
    let plain = String(decoding: event(sample), as: UTF8.self)
    sample.origin.redelivery = Redelivery(count: 2, cause: .partialFailure)
    let text = String(decoding: event(sample), as: UTF8.self)
    let mark = #","sluice":{"redelivery":"partial-failure"}"#
    #expect(text.ranges(of: mark).count == 2)
    #expect(text.replacing(mark, with: "") == plain)
    let parsed = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
    let records = try #require(parsed?["Records"] as? [[String: Any]])
    #expect(records.map { $0["sluice"] != nil } == [true, true, false])
    #expect(mark.utf8.count <= EventWriter.markByteCount)
  }

  @Test("imported records have the sequence numbers that they had, in both places, and whatever these are")
  func imported() throws {
    var sample = batch(count: 3)
    let numbers = ["496", "a\"b", String(repeating: "9", count: 128)]
    sample.origin.importedSequenceNumbers = numbers
    let parsed = try JSONSerialization.jsonObject(with: Data(event(sample))) as? [String: Any]
    let records = try #require(parsed?["Records"] as? [[String: Any]])
    #expect(records.map { ($0["kinesis"] as? [String: Any])?["sequenceNumber"] as? String } == numbers)
    #expect(records.map { $0["eventID"] as? String } == numbers.map { "shardId-000000000003:\($0)" })
  }

  @Test("base64 equals Foundation's at every length")
  func base64() throws {
    let samples = (0..<100).map { count in
      Sample(key: "k", data: (0..<count).map { UInt8(truncatingIfNeeded: $0 * 37 + count * 11) })
    }
    for (sample, record) in zip(samples, try records(batch(samples))) {
      #expect(record["data"] as? String == Data(sample.data).base64EncodedString())
    }
  }

  @Test("any partition key survives the way through JSON")
  func escaping() throws {
    let controls = String(String.UnicodeScalarView((0..<32).compactMap { Unicode.Scalar($0) }))
    let keys = ["\"", "\\", "a\"b\\c", controls, "\u{7f}", "é", "日本", "🛫", "\u{2028}", "/", "plain"]
    let sample = batch(keys.map { Sample(key: $0, data: []) })
    #expect(try records(sample).map { $0["partitionKey"] as? String } == keys)
    #expect(!event(sample).contains { $0 < 0x20 })
  }

  @Test("the sum of the parts is the size of the event")
  func size() {
    let identity = EventIdentity(region: "eu-central-1", account: "123456789012", role: "r\"x")
    let samples = ["a", "b\"\n\u{1}", "é", String(repeating: "k", count: 256)].enumerated().map {
      Sample(key: $1, data: Array(repeating: 7, count: $0 * 101))
    }
    for count in 1...samples.count {
      let expected = samples.prefix(count).reduce(EventWriter.envelopeByteCount) { sum, sample in
        let key = Array(sample.key.utf8).withUnsafeBytes { EventWriter.encodedByteCount(ofKey: $0) }
        return sum + EventWriter.recordOverhead(for: identity, stream: "flights")
          + EventWriter.encodedByteCount(ofData: sample.data.count) + key
      }
      #expect(event(batch(Array(samples.prefix(count))), identity: identity).count == expected)
    }
  }

  @Test("a buffer that is used again holds only the new event")
  func reuse() {
    let writer = EventWriter(identity: EventIdentity(), stream: "flights")
    var buffer = EventBuffer()
    writer.write(batch(count: 50), into: &buffer)
    buffer.removeAll()
    writer.write(batch(count: 2), into: &buffer)
    #expect(buffer.bytes == event(batch(count: 2)))
  }

  /// The `kinesis` members of an event.
  private func records(_ batch: RecordBatch) throws -> [[String: Any]] {
    let parsed = try JSONSerialization.jsonObject(with: Data(event(batch))) as? [String: Any]
    let records = try #require(parsed?["Records"] as? [[String: Any]])
    return try records.map { try #require($0["kinesis"] as? [String: Any]) }
  }
}
