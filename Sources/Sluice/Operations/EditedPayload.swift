public import Foundation
import StreamModel
import StreamStore
import TableChanges

/// Other data for one record of a failure entry. In place of a change of a table: the change with other images, or its part
/// `dynamodb` alone.
public struct EditedPayload: Codable, Hashable, Sendable {
  /// The sequence number of the record; not needed where the entry has one record.
  public var record: String?
  public var data: Data
  /// The file that it is from, as messages name it.
  public var file: String?

  public init(record: String? = nil, data: Data, file: String? = nil) {
    self.record = record
    self.data = data
    self.file = file
  }

  fileprivate var name: String { file.map { "The payload \($0)" } ?? "The payload" }

  /// The former data is kept in the audit, up to so many bytes.
  public static let formerByteLimit = 256 << 10
}

/// An edit as it is checked, and not yet made.
struct PayloadEdit {
  let entry: FailureSummary
  let records: RecordRun
  let position: Int
  let sequenceNumber: String
  let former: [UInt8]
  let data: [UInt8]

  /// What changes, in words.
  var effects: [String] {
    let (was, becomes) = Self.excerpts(former, data)
    return [
      "record \(sequenceNumber) of entry \(entry.number): its payload of \(former.count) bytes becomes one of \(data.count)",
      "  was      \(was)", "  becomes  \(becomes)",
    ]
  }

  /// What the audit keeps.
  var note: String {
    let text = String(validating: former, as: UTF8.self)
    return "record \(sequenceNumber): its payload was \(text ?? "base64:" + Data(former).base64EncodedString())"
  }

  /// Both from a little before the first difference on.
  private static func excerpts(_ former: [UInt8], _ data: [UInt8]) -> (String, String) {
    let same = zip(former, data).prefix { $0 == $1 }.count
    let start = max(0, same - 24)
    func excerpt(_ bytes: [UInt8]) -> String {
      let part = String(decoding: bytes.dropFirst(start).prefix(96), as: UTF8.self).replacing("\n", with: " ")
      return (start > 0 ? "…" : "") + part + (bytes.count > start + 96 ? "…" : "")
    }
    return (excerpt(former), excerpt(data))
  }
}

extension StoreOperator {
  /// What editing a record of the only entry would change. Refused if it cannot be edited.
  func edit(_ payload: EditedPayload, of entries: [FailureSummary]) throws -> PayloadEdit {
    guard entries.count == 1, let summary = entries.first, let entry = try store.failure(summary.number) else {
      throw OperatorRefusal(.badInput, "A payload belongs to one entry, and \(entries.count) match: name its number.")
    }
    guard let stream = try store.catalog().streams[summary.address.stream] else {
      throw OperatorRefusal(.badInput, "The stream of entry \(summary.number) was deleted.")
    }
    if let delivery = summary.delivery, delivery.state == .pending {
      throw OperatorRefusal(
        .tryAgain, "Entry \(summary.number) is on its way to its destination as it is: edit it when it is there.")
    }
    let batch = RecordBatch(
      origin: BatchOrigin(
        stream: summary.streamName, shard: summary.address.shard, shardCreatedAtSeconds: summary.shardCreatedAtSeconds,
        attempt: 1), run: entry.records, range: 0..<entry.records.count)
    let numbers = (0..<batch.count).map { batch.sequenceNumber(at: $0).description }
    let position: Int
    if let record = payload.record {
      guard let place = numbers.firstIndex(of: record) else {
        throw OperatorRefusal(.badInput, "Entry \(summary.number) has no record \(record).")
      }
      position = place
    } else {
      guard numbers.count == 1 else {
        throw OperatorRefusal(
          .badInput,
          "Entry \(summary.number) has \(numbers.count) records: say whose payload it is with --record SEQUENCENUMBER.")
      }
      position = 0
    }
    let former = Array(batch[position].dataBytes)
    let data = try data(of: payload, inPlaceOf: batch, at: position, stream)
    let size = data.count + batch[position].partitionKey.utf8.count
    guard size <= stream.recordByteLimit else {
      throw OperatorRefusal(
        .badInput,
        "\(payload.name) makes a record of \(size) bytes, key included: stream \(stream.name) takes at most "
          + "\(stream.recordByteLimit).")
    }
    guard former != data else {
      throw OperatorRefusal(.badInput, "\(payload.name) is the one that entry \(summary.number) has.")
    }
    guard former.count <= EditedPayload.formerByteLimit else {
      throw OperatorRefusal(
        .badInput,
        "The record's payload has \(former.count) bytes, and the audit keeps up to \(EditedPayload.formerByteLimit) of "
          + "what it was: put the edited record into the stream instead, and purge the entry.")
    }
    return PayloadEdit(
      entry: summary, records: entry.records, position: position, sequenceNumber: numbers[position], former: former,
      data: data)
  }

  /// What will stand there: of a change of a table, one of the same item.
  private func data(
    of payload: EditedPayload, inPlaceOf batch: RecordBatch, at position: Int, _ stream: StreamInfo
  ) throws -> [UInt8] {
    let given = [UInt8](payload.data)
    guard stream.kind == .dynamodb else { return given }
    do throws(ChangeProblem) {
      return try ChangeRecord.edited(
        given.span.bytes, inPlaceOf: batch[position].data, batch.sequenceNumber(at: position),
        arrival: batch.arrival(at: position), of: MappedStream(stream, name: stream.name).changeEvents)
    } catch {
      throw OperatorRefusal(.badInput, "\(payload.name) cannot stand in place of this change: \(error)")
    }
  }

  /// Keeps in the audit what the payload was, and then changes it.
  func make(_ edit: PayloadEdit, _ consent: Consent) async throws {
    try await audit(consent, "edit", "entry \(edit.entry.number)", edit.note)
    let edited = edit.records.replacingData(at: edit.position, with: edit.data)
    let answer = try await store.perform(
      .storeFailure(NewFailure(summary: edit.entry, run: edited, range: 0..<edited.count)))
    guard case .number(let number) = answer, number == edit.entry.number else {
      throw OperatorRefusal(
        .tryAgain, "Entry \(edit.entry.number) has left the list meanwhile: see sluice failures list.")
    }
  }
}
