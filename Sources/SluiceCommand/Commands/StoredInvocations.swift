import Foundation
import Sluice
import SluiceService
import StreamModel
import StreamStore

/// The events of a function that is invoked asynchronously: they lie in a stream of their own, each under its request id.
struct StoredInvocations {
  private let function: String
  private let configuration: String
  private let directory: String
  private let name: String

  /// The bytes of an event at most: a record of a stream less its key.
  static let eventByteLimit = 1_048_576 - 36

  /// Refuses a function that its configuration does not invoke so.
  init(of function: FunctionConfiguration, configuration: String, store: String) throws {
    guard function.asyncInvocation != nil else {
      throw Problem(
        Exit.badInput,
        "\(function.name) is not invoked asynchronously: give it async: {} in \(configuration), and apply that.")
    }
    self.function = function.name
    self.configuration = configuration
    directory = store
    name = AsyncInvocation.name(for: function.name)
  }

  /// What a script gets for an event that was taken.
  private struct Accepted: Encodable {
    var requestId: String
    var function: String
    var stream: String
    var sequenceNumber: String
  }

  /// Stores an event. It is durable when this returns.
  func add(_ event: [UInt8], asJSON: Bool) async throws {
    let requestID = UUID().uuidString.lowercased()
    var packed: [UInt8] = []
    var key = requestID
    key.withUTF8 { keyBytes in
      event.withUnsafeBytes {
        RecordLayout.append(
          partitionKey: UnsafeRawBufferPointer(keyBytes), data: $0, explicitHashKey: nil, to: &packed)
      }
    }
    let report: PutReport
    switch try await Connection.act(on: directory).put(packed, into: name, lineage: CallingFunction.lineage()) {
    case .stored(let stored): report = stored
    case .refused(let refusal) where refusal.reason == .badInput:
      throw Problem(
        Exit.badInput,
        "\(refusal.message) A worker makes it when it starts with \(configuration), or by sluice apply --config "
          + "\(configuration) --yes."
      )
    case .refused(let refusal): throw Problem(refusal)
    }
    let number = report.shards.first?.lastSequenceNumber ?? ""
    if asJSON {
      return try printJSON(
        Accepted(requestId: requestID, function: function, stream: name, sequenceNumber: number))
    }
    print(
      """
      \(requestID)
        stored; what becomes of it: sluice invoke \(function) --config \(configuration) --status \(requestID)
      """)
  }

  /// Tells where an event is, with all attempts that are known.
  func show(_ requestID: String, asJSON: Bool) async throws {
    guard let number = try find(requestID.lowercased()) else {
      throw Problem(
        Exit.badInput,
        "\(function) has no event with request id \(requestID); events are kept for 24 h, and failures until purged.")
    }
    let answer = try await Connection.look(at: directory).perform(.record(mapping: name, sequenceNumber: "\(number)"))
    guard case .record(let record) = answer else { throw Problem(answer) }
    if asJSON { return try printJSON(record) }
    print("\(requestID): \(Self.word(for: record.situation))")
    print(RecordText.render(record, now: Int64(Date().timeIntervalSince1970 * 1_000)))
  }

  /// What a record's place means for an event.
  private static func word(for situation: RecordSituation) -> String {
    switch situation {
    case .waiting: "waits for the function"
    case .delivering: "is with the function"
    case .retrying, .parked: "failed, and will be tried again"
    case .failed: "failed for good"
    case .settled: "is done: the function returned, or its failure entry was redriven or purged"
    case .lost: "was lost: retention removed it before the function had it"
    }
  }

  /// The record with this key: in the one shard that its hash belongs to.
  private func find(_ requestID: String) throws -> SequenceNumber? {
    let store = try Connection.open(directory, role: .looker)
    guard let stream = try store.catalog().stream(named: name) else {
      throw Problem(Exit.badInput, "There is no stream \(name) yet: no worker has run with \(configuration).")
    }
    let hash = HashKey(partitionKey: requestID)
    for shard in try store.catalog().shards(of: stream.number) where shard.hashKeys.contains(hash) {
      if let found = try find(requestID, in: shard, store) { return found }
    }
    return nil
  }

  private func find(_ requestID: String, in shard: ShardInfo, _ store: StreamStore) throws -> SequenceNumber? {
    let origin = BatchOrigin(
      stream: name, shard: shard.address.shard, shardCreatedAtSeconds: shard.createdAtSeconds, attempt: 1)
    var next = try store.index(for: .trimHorizon, in: shard.address)
    while case .records(let read) = try store.read(
      shard.address, from: next, countLimit: 10_000, payloadByteLimit: 16_777_216, recordOverheadBytes: 0)
    {
      let batch = RecordBatch(origin: origin, run: read.run, range: 0..<read.batch.count)
      for position in 0..<batch.count where batch[position].partitionKey == requestID {
        return batch.sequenceNumber(at: position)
      }
      next = batch.lastIndex.advanced(by: 1)
    }
    return nil
  }
}
