import Foundation
public import StreamModel
import StreamRuntime
public import StreamStore

extension OperatorRefusal {
  /// The store's error in the words of the command line.
  public init(_ error: StoreError) {
    let reason: Reason =
      switch error {
      case .mapFull, .diskFull, .overloaded, .readersFull: .tryAgain
      case .inUse: .needsWorker
      case .invalid, .noSuchStream, .streamExists, .noSuchShard, .shardClosed, .noSuchMapping, .noSuchFailure, .missing:
        .badInput
      case .unusable, .alreadyOpen, .newerFormat, .olderFormat, .notWriting, .corruptedBlock, .corrupted, .failed:
        .failed
      }
    self.init(reason, "\(error)")
  }
}

extension FailureReport {
  init(_ summary: FailureSummary, _ retentions: FailureRetentions) {
    let numbers = ShardNumbers(createdAtSeconds: summary.shardCreatedAtSeconds, shard: summary.address.shard)
    self.init(
      entry: summary.number, mapping: summary.mappingName, stream: summary.streamName,
      shard: summary.address.shard.description, condition: summary.condition.name,
      createdAt: summary.createdAt.milliseconds, firstSequenceNumber: numbers[summary.firstIndex],
      lastSequenceNumber: numbers[summary.lastIndex], records: summary.count,
      firstArrival: summary.firstArrival.milliseconds, lastArrival: summary.lastArrival.milliseconds,
      attemptsMade: summary.attempts, attempts: summary.history.map { AttemptReport($0, in: numbers) },
      attemptsOmitted: summary.attemptsOmitted, events: summary.events.map(RecordEventReport.init),
      redrives: summary.redrives, lastRedriveAt: summary.lastRedrive?.endedAt.milliseconds,
      delivery: summary.delivery.map(DeliveryReport.init),
      window: summary.window.map { window in
        FailedWindowReport(
          start: window.bounds.start.milliseconds, end: window.bounds.end.milliseconds,
          isFinalInvokeForWindow: window.isFinal, isWindowTerminatedEarly: window.isTerminatedEarly,
          state: window.isFinal ? String(validating: window.state, as: UTF8.self) : nil)
      }, expiresAt: retentions.expiry(of: summary.mapping, madeAt: summary.createdAt)?.milliseconds)
  }
}

extension DeliveryReport {
  init(_ delivery: FailureDelivery) {
    let state: State =
      switch delivery.state {
      case .pending: .pending
      case .delivered: .delivered
      case .undeliverable: .undeliverable
      }
    self.init(state: state, attempts: delivery.attempts, at: delivery.at.milliseconds, detail: delivery.detail)
  }
}

extension FailedRecord {
  public init(_ record: borrowing RecordView) {
    let data = record.dataBytes
    let isText = String(validating: data, as: UTF8.self) != nil
    self.init(
      sequenceNumber: record.sequenceNumber.description, partitionKey: record.partitionKey,
      arrival: record.arrival.milliseconds, text: isText ? String(decoding: data, as: UTF8.self) : nil,
      base64: isText ? nil : Data(data).base64EncodedString())
  }
}

extension AuditReport {
  init(_ entry: AuditEntry) {
    self.init(
      at: entry.time.milliseconds, actor: entry.actor, action: entry.action, subject: entry.subject,
      detail: entry.detail)
  }
}

extension PutReport {
  init(_ receipt: AppendReceipt) {
    self.init(
      records: receipt.count,
      shards: receipt.stretches.map { stretch in
        let number = { (index: RecordIndex) in
          SequenceNumber(
            shardCreatedAtSeconds: stretch.shardCreatedAtSeconds, shard: stretch.address.shard, index: index
          ).description
        }
        return ShardPut(
          shard: stretch.address.shard.description, records: stretch.count,
          firstSequenceNumber: number(stretch.firstIndex),
          lastSequenceNumber: number(stretch.firstIndex.advanced(by: stretch.count - 1)))
      })
  }
}

/// Packed records from outside: every length is checked before it is believed.
enum PackedRecords {
  static func add(_ packed: [UInt8], to request: inout AppendRequest) throws {
    var offset = 0
    var position = 0
    while offset < packed.count {
      guard packed.count - offset >= RecordLayout.headerByteCount else { throw malformed(position) }
      let start = offset
      let header = packed.withUnsafeBytes { RecordHeader(at: $0.baseAddress.unsafelyUnwrapped + start) }
      guard header.byteCount <= packed.count - offset else { throw malformed(position) }
      try packed.withUnsafeBytes { bytes in
        let key = UnsafeRawBufferPointer(rebasing: bytes[(start + header.keyOffset)..<(start + header.dataOffset)])
        let data = UnsafeRawBufferPointer(rebasing: bytes[(start + header.dataOffset)..<(start + header.byteCount)])
        try request.add(
          partitionKeyBytes: key, data: data, explicitHashKey: explicitHashKey(of: header, at: start, in: bytes),
          lineage: header.lineage)
      }
      offset += header.byteCount
      position += 1
    }
  }

  private static func explicitHashKey(
    of header: RecordHeader, at start: Int, in bytes: UnsafeRawBufferPointer
  ) -> HashKey? {
    guard header.hasExplicitHashKey else { return nil }
    let offset = start + RecordLayout.headerByteCount
    return HashKey(UInt128(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt128.self)))
  }

  private static func malformed(_ position: Int) -> OperatorRefusal {
    OperatorRefusal(.badInput, "Record \(position) of the request is cut short: its lengths go beyond the end.")
  }
}
