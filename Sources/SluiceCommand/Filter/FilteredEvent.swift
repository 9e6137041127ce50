import EventPattern
import Foundation

/// What a pattern is tried on: a record, taken out of whatever the command was given.
struct FilteredEvent {
  private(set) var record: PlainRecord
  private(set) var constants = KinesisConstants()

  init(_ bytes: [UInt8], source: FilterSource, partitionKey: String?) throws {
    var bytes = bytes
    var members = Self.members(bytes)
    if let records = members?["Records"] as? [[String: Any]] {
      guard records.count == 1 else {
        throw Problem(
          Exit.badInput, "the event holds \(records.count) records; a pattern is tried on one: give that alone")
      }
      bytes = Array(try JSONSerialization.data(withJSONObject: records[0]))
      members = records[0]
    }
    if source == .kinesis, let members, let kinesis = members["kinesis"] as? [String: Any] {
      guard partitionKey == nil else {
        throw Problem(Exit.badInput, "the event is a whole record and has a partition key; leave --partition-key away")
      }
      record = PlainRecord(body: try Self.data(kinesis), fields: Self.fields(kinesis, members))
      for field in KinesisField.allCases where !field.isOfRecord {
        constants.values[field] = (kinesis[field.rawValue] ?? members[field.rawValue]) as? String
      }
    } else {
      record = PlainRecord(body: bytes, fields: partitionKey.map { [.partitionKey: $0] } ?? [:])
    }
  }

  /// The members of a JSON object; `nil` for anything else, which may be data as good as any.
  private static func members(_ bytes: [UInt8]) -> [String: Any]? {
    (try? JSONSerialization.jsonObject(with: Data(bytes))) as? [String: Any]
  }

  private static func data(_ kinesis: [String: Any]) throws -> [UInt8] {
    guard let text = kinesis["data"] as? String, let data = Data(base64Encoded: text) else {
      throw Problem(Exit.badInput, "kinesis.data of the event is not base64")
    }
    return Array(data)
  }

  private static func fields(_ kinesis: [String: Any], _ members: [String: Any]) -> [KinesisField: String] {
    var fields: [KinesisField: String] = [:]
    for field in KinesisField.allCases where field.isOfRecord {
      switch kinesis[field.rawValue] ?? members[field.rawValue] {
      case let text as String: fields[field] = text
      case let number as NSNumber: fields[field] = number.stringValue
      default: break
      }
    }
    return fields
  }
}
