import Foundation
public import StreamModel
import TableChanges

/// Reads the one-line JSON answer of a handler in another process.
///
/// | answer | meaning |
/// | --- | --- |
/// | nothing, `null`, `{}`, `[]`, `""`, no or an empty or null `batchItemFailures` | the whole batch is done |
/// | `{"batchItemFailures":[{"itemIdentifier":"496…"}]}` | done before the lowest of these records |
/// | the same with an unknown, empty or null id, or another key | the whole batch failed |
/// | `{"errorType":"…","errorMessage":"…","stackTrace":["…"]}` | the handler raised |
/// | not JSON | the whole batch failed |
public struct AnswerReader: Hashable, Sendable {
  /// `FunctionResponseTypes` holds `ReportBatchItemFailures`. When it does not, item failures count as success, as on
  /// AWS.
  public var reportsItemFailures: Bool
  /// An answer may say that the handler raised. A function that speaks the Runtime API says that in another way, and what
  /// it returns is its own business.
  public var takesErrors: Bool
  /// Item failures are all that failed, and every other record of the batch is done. Otherwise nothing is said of those
  /// behind the lowest, as on AWS.
  public var namesEveryFailure: Bool

  public init(reportsItemFailures: Bool, takesErrors: Bool = true, namesEveryFailure: Bool = false) {
    self.reportsItemFailures = reportsItemFailures
    self.takesErrors = takesErrors
    self.namesEveryFailure = namesEveryFailure
  }

  /// The outcome that `answer` states for `batch`. Throws ``HandlerFailure`` of kind `error` if the handler says that it
  /// raised, and of kind `invalidResponse` if the answer means nothing.
  public func outcome(
    of answer: some Collection<UInt8>, for batch: RecordBatch
  ) throws(HandlerFailure) -> HandlerOutcome {
    guard answer.contains(where: { !Self.isBlank($0) }) else { return .succeeded }
    // Whatever a function returned, nobody asked for it.
    if !reportsItemFailures, !takesErrors { return .succeeded }
    let parsed: Any
    do {
      parsed = try JSONSerialization.jsonObject(with: Data(answer), options: .fragmentsAllowed)
    } catch {
      throw Self.invalid("the answer is not JSON", answer)
    }
    guard let members = parsed as? [String: Any] else { return .succeeded }
    if takesErrors, let failure = Self.raisedError(in: members) { throw failure }
    guard reportsItemFailures, let failures = members["batchItemFailures"], !(failures is NSNull) else {
      return .succeeded
    }
    guard let items = failures as? [Any] else { throw Self.invalid("batchItemFailures is not a list", answer) }
    guard !items.isEmpty else { return .succeeded }
    var failed: [SequenceNumber] = []
    for item in items { failed += try Self.sequenceNumbers(in: item, of: batch) }
    return namesEveryFailure ? .failedRecords(failed) : failed.min().map { .failed(at: $0) } ?? .succeeded
  }

  /// The outcome that `answer` states for an invocation of a tumbling window: as above, and it must be an object whose
  /// `state` is an object. That is handed on as it is written.
  public func outcome(
    of answer: [UInt8], for batch: WindowedBatch
  ) throws(HandlerFailure) -> WindowedOutcome {
    var members: [String: Any]?
    if answer.contains(where: { !Self.isBlank($0) }) {
      do {
        members = try JSONSerialization.jsonObject(with: Data(answer), options: .fragmentsAllowed) as? [String: Any]
      } catch {
        throw Self.invalid("the answer is not JSON", answer)
      }
    }
    if takesErrors, let members, let failure = Self.raisedError(in: members) { throw failure }
    guard members?["state"] is [String: Any], let state = StateSlice.value(of: "state", in: answer) else {
      throw Self.invalid("in a tumbling window an answer has an object as its state", answer)
    }
    let outcome = WindowedOutcome(state: WindowState(Array(state)))
    guard reportsItemFailures, let failures = members?["batchItemFailures"] as? [Any], !failures.isEmpty else {
      guard !reportsItemFailures || members?["batchItemFailures"] is [Any]? || members?["batchItemFailures"] is NSNull
      else { throw Self.invalid("batchItemFailures is not a list", answer) }
      return outcome
    }
    guard let records = batch.records else { throw Self.invalid("a final invocation has no records that could fail") }
    var failed = outcome
    if case .failed(at: let number) = try self.outcome(of: answer, for: records) { failed.failedAt = number }
    return failed
  }

  /// The error of an answer that says that the handler raised.
  private static func raisedError(in members: [String: Any]) -> HandlerFailure? {
    let type = members["errorType"] as? String
    let message = members["errorMessage"] as? String
    guard type != nil || message != nil else { return nil }
    let trace = (members["stackTrace"] as? [Any] ?? [])
      .flatMap { ($0 as? String ?? "\($0)").split(separator: "\n").map(String.init) }
    return HandlerFailure(kind: .error, type: type ?? "Error", message: message ?? "", trace: trace)
  }

  /// That of one record; of several, where several changes were put with one number.
  private static func sequenceNumbers(
    in item: Any, of batch: RecordBatch
  ) throws(HandlerFailure) -> [SequenceNumber] {
    guard let text = (item as? [String: Any])?["itemIdentifier"] as? String, !text.isEmpty else {
      throw invalid("an item failure without an itemIdentifier")
    }
    if batch.origin.kind == .dynamodb {
      let positions = ChangeSequenceNumber.positions(of: text, in: batch)
      guard !positions.isEmpty else { throw unknown(text) }
      return positions.map { batch.sequenceNumber(at: $0) }
    }
    if let imported = batch.origin.importedSequenceNumbers {
      guard let position = imported.firstIndex(of: text), position < batch.count else { throw unknown(text) }
      return [batch.sequenceNumber(at: position)]
    }
    let first = batch.sequenceNumber(at: 0)
    guard let number = SequenceNumber(text), number.shard == first.shard,
      number.shardCreatedAtSeconds == first.shardCreatedAtSeconds,
      batch.position(of: number.index) != nil
    else { throw unknown(text) }
    return [number]
  }

  private static func unknown(_ identifier: String) -> HandlerFailure {
    invalid("the itemIdentifier \(identifier.prefix(80)) names no record of the batch")
  }

  private static func invalid(_ message: String, _ answer: some Collection<UInt8> = []) -> HandlerFailure {
    let start = String(decoding: answer.prefix(200), as: UTF8.self)
    return HandlerFailure(
      kind: .invalidResponse, type: "InvalidResponse", message: start.isEmpty ? message : "\(message): \(start)")
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte >= 0x09 && byte <= 0x0d }
}
