internal import LMDB
internal import Locks

/// Putting records and giving commands.
extension StreamStore {
  /// Puts records and suspends until they are durable as the store's setting says. Where that does not take the disk, a
  /// few records may be written on the thread that calls, in some ten microseconds.
  public func append(_ request: consuming AppendRequest) async throws(StoreError) -> AppendReceipt {
    let body = request.body
    let result: Result<AppendReceipt, StoreError> = await unsafe withUnsafeContinuation { continuation in
      putWaiting(.append(body, { unsafe continuation.resume(returning: $0) }))
    }
    return try result.get()
  }

  /// Puts records and returns at once. `completion` is called on the thread that writes, or here if the request is refused;
  /// it must be quick. Refused as ``StoreError/overloaded`` when too much is waiting.
  public func append(_ request: consuming AppendRequest, completion: @escaping AppendCompletion) {
    put(.append(request.body, completion), bounded: true)
  }

  /// Puts records and blocks the thread until they are durable. Not for the threads of Swift's tasks.
  public func appendBlocking(_ request: consuming AppendRequest) throws(StoreError) -> AppendReceipt {
    let answer = BlockingAnswer<AppendReceipt>()
    putWaiting(.append(request.body, { answer.set($0) }))
    return try answer.wait()
  }

  /// Gives a command and suspends until what it did is durable.
  @discardableResult
  public func perform(_ command: StoreCommand) async throws(StoreError) -> CommandAnswer {
    let result: Result<CommandAnswer, StoreError> = await unsafe withUnsafeContinuation { continuation in
      put(.command(command, { unsafe continuation.resume(returning: $0) }), bounded: false)
    }
    return try result.get()
  }

  /// Gives a command and returns at once. `completion` is called on the thread that writes, or here if the command is
  /// refused; it must be quick. With `isPatient` the command may wait up to 2 ms for others that come: for what nobody
  /// waits for.
  public func submit(_ command: StoreCommand, isPatient: Bool = false, completion: @escaping CommandCompletion) {
    put(.command(command, isPatient: isPatient, completion), bounded: true)
  }

  /// Gives a command and blocks the thread. Not for the threads of Swift's tasks.
  @discardableResult
  public func performBlocking(_ command: StoreCommand) throws(StoreError) -> CommandAnswer {
    let answer = BlockingAnswer<CommandAnswer>()
    put(.command(command, { answer.set($0) }), bounded: false)
    return try answer.wait()
  }

  /// Creates a stream.
  public func createStream(_ stream: NewStream) async throws(StoreError) -> StreamInfo {
    guard case .stream(let created) = try await perform(.createStream(stream)) else {
      preconditionFailure("creating a stream answers with it")
    }
    return created
  }

  /// Creates the mapping, or replaces the settings of the one with this name.
  public func storeMapping(name: String, settings: [UInt8]) async throws(StoreError) -> MappingInfo {
    guard case .mapping(let stored) = try await perform(.storeMapping(name: name, settings: settings)) else {
      preconditionFailure("storing a mapping answers with it")
    }
    return stored
  }

  /// Removes old blocks from the heads of shards.
  public func trim(_ order: TrimOrder) async throws(StoreError) -> TrimAnswer {
    guard case .trimmed(let answer) = try await perform(.trim(order)) else {
      preconditionFailure("a trim answers with what it did")
    }
    return answer
  }

  /// Removes failure entries that are too old.
  public func expireFailures(_ expiry: FailureExpiry) async throws(StoreError) -> ExpiryAnswer {
    guard case .expired(let answer) = try await perform(.expireFailures(expiry)) else {
      preconditionFailure("an expiry answers with what it did")
    }
    return answer
  }
}

/// An answer that a thread blocks for.
private final class BlockingAnswer<Value: Sendable>: Sendable {
  private let result = Monitor<Result<Value, StoreError>?>(nil)

  func set(_ answer: Result<Value, StoreError>) {
    result.withLock { $0 = answer }
    result.signal()
  }

  func wait() throws(StoreError) -> Value {
    guard let answer = result.wait(deadline: nil, { $0 }) else {
      preconditionFailure("a wait without a deadline ends with an answer")
    }
    return try answer.get()
  }
}
