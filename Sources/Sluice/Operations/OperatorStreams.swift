import ShardCore
public import StreamModel
import StreamRuntime
import StreamStore

/// Streams and their shards, and records for them.
extension StoreOperator {
  func streamReport(_ stream: StreamInfo) throws -> StreamReport {
    StreamReport(
      name: stream.name, kind: stream.kind, retentionMilliseconds: stream.retentionMilliseconds,
      recordByteLimit: stream.recordByteLimit, createdAt: stream.createdAt.milliseconds,
      shards: try store.catalog().shards(of: stream.number).map { shard in
        let bounds = try store.shardBounds(shard.address)
        let isEmpty = bounds.firstAvailable >= bounds.end
        return ShardReport(
          shard: shard.address.shard.description, isOpen: shard.isOpen, parents: shard.parents.map(\.description),
          firstHashKey: shard.hashKeys.first.description, lastHashKey: shard.hashKeys.last.description,
          records: isEmpty ? 0 : bounds.firstAvailable.distance(to: bounds.end),
          firstSequenceNumber: isEmpty ? nil : shard.sequenceNumber(of: bounds.firstAvailable).description,
          lastSequenceNumber: isEmpty
            ? nil : shard.sequenceNumber(of: RecordIndex(bounds.end.rawValue - 1)).description,
          firstArrival: bounds.firstArrival?.milliseconds, lastArrival: bounds.lastArrival?.milliseconds)
      })
  }

  func createStream(_ new: NewStream) async throws -> StreamReport {
    guard case .stream(let info) = try await store.perform(.createStream(new)) else {
      preconditionFailure("creating a stream answers with the stream")
    }
    return try streamReport(info)
  }

  func deleteStream(_ name: String, _ consent: Consent) async throws -> ActionReport {
    let stream = try stream(named: name)
    let records = try streamReport(stream).shards.reduce(0) { $0 + $1.records }
    let mappings = try store.catalog().mappings.values
      .filter { MappingSettings(decoding: $0.settings)?.stream == stream.number }.map(\.name).sorted()
    if consent.isApplied {
      try await audit(consent, "delete stream", name, "\(records) records")
      _ = try await store.perform(.deleteStream(stream.number))
    }
    return ActionReport(
      isApplied: consent.isApplied,
      effects: ["stream \(name) with \(records) records is deleted for good"]
        + mappings.map { "mapping \($0) is left without a stream: nothing more is delivered, its failures stay" },
      records: records)
  }

  func split(_ name: String, _ shard: String, at key: String?) async throws -> StreamReport {
    let stream = try stream(named: name)
    let address = ShardAddress(stream: stream.number, shard: try shardNumber(shard))
    guard let info = try store.catalog().shard(address) else { throw StoreError.noSuchShard(address) }
    let range = info.hashKeys
    let middle = HashKey(range.first.rawValue + (range.last.rawValue - range.first.rawValue) / 2 + 1)
    let at = try key.map { text in
      guard let parsed = HashKey(decimal: text) else {
        throw OperatorRefusal(.badInput, "--at is \(text): a hash key is a decimal number from 0 to 2^128−1.")
      }
      return parsed
    }
    _ = try await store.perform(.split(address, at: at ?? middle))
    return try streamReport(stream)
  }

  func merge(_ name: String, _ shard: String, _ other: String) async throws -> StreamReport {
    let stream = try stream(named: name)
    let address = ShardAddress(stream: stream.number, shard: try shardNumber(shard))
    _ = try await store.perform(.merge(address, with: try shardNumber(other)))
    return try streamReport(stream)
  }

  public func put(_ packed: [UInt8], into name: String, lineage: Lineage) async -> PutAnswer {
    do {
      let stream = try stream(named: name)
      var request = AppendRequest(to: try store.routing(of: stream.number), lineage: lineage)
      try PackedRecords.add(packed, to: &request)
      guard request.count > 0 else { return .stored(PutReport(records: 0, shards: [])) }
      return .stored(PutReport(try await store.append(request)))
    } catch let refusal as OperatorRefusal {
      return .refused(refusal)
    } catch let error as StoreError {
      return .refused(OperatorRefusal(error))
    } catch {
      return .refused(OperatorRefusal(.failed, "\(error)"))
    }
  }
}
