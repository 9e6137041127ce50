public import StreamModel
import StreamRuntime
import StreamStore

/// Changing what runs. For a processor whose ``StreamProcessor/run()`` has opened its lanes.
extension StreamProcessor {
  /// Adds a mapping and starts it; one that was closed goes on where it stood.
  public func add(_ mapping: EventSourceMapping, to handler: any BatchHandler) async throws {
    try await runningPoller().add(try plan(mapping, handler))
  }

  /// Gives a mapping that runs other settings and another handler. Windows, waits and limits are looked at again now; what
  /// is in flight or frozen stays as it is. The stream, the filters and the number of lanes must be as they were: change
  /// those with ``close(_:)`` and ``add(_:to:)``.
  public func change(_ mapping: EventSourceMapping, to handler: any BatchHandler) async throws {
    try await runningPoller().change(try plan(mapping, handler))
  }

  /// Ends what is in flight of a mapping, stores its progress, and runs it no more. After ``drainLimit`` handlers in
  /// flight are cancelled.
  public func close(_ mapping: String) async {
    await poller?.close(mapping: mapping, within: drainLimit)
  }

  /// Stores the settings of a mapping that does not run: a disabled one, or, with `isConfigured` false, one that the
  /// configuration has no more. Its checkpoints stay as they are.
  public func note(_ mapping: EventSourceMapping, isConfigured: Bool) async throws {
    guard let stream = try store.catalog().stream(named: mapping.stream) else {
      throw PollerError.noSuchStream(mapping: mapping.name, stream: mapping.stream)
    }
    let former = try store.catalog().mapping(named: mapping.name).flatMap { MappingSettings(decoding: $0.settings) }
    let policy = mapping.policy(for: MappedStream(stream, name: stream.name))
    var settings = MappingSettings(stream: stream.number, policy: policy)
    settings.retryRules = mapping.retry.rules
    settings.failureRetention = mapping.onFailure.keepFor
    settings.parameters = mapping.parameters
    settings.isConfigured = isConfigured
    if let former { settings.inherit(from: former) }
    _ = try await store.perform(.storeMapping(name: mapping.name, settings: settings.encoded()))
  }

  /// Marks a mapping as one that the configuration has no more. `false` if the store does not know it, or it is marked.
  @discardableResult
  public func forget(_ name: String) async throws -> Bool {
    guard let info = try store.catalog().mapping(named: name),
      var settings = MappingSettings(decoding: info.settings), settings.isConfigured
    else { return false }
    settings.isConfigured = false
    _ = try await store.perform(.storeMapping(name: name, settings: settings.encoded()))
    return true
  }

  private func runningPoller() throws -> StreamPoller {
    guard let poller else { throw OperatorRefusal(.tryAgain, "The lanes are being opened. Say this again.") }
    return poller
  }

  /// Throws what breaks a rule.
  private func plan(_ mapping: EventSourceMapping, _ handler: any BatchHandler) throws -> MappingPlan {
    let stream = try store.catalog().stream(named: mapping.stream)
    let problems = mapping.problems(of: MappedStream(stream, name: mapping.stream))
    guard problems.isEmpty else {
      throw MappingProblems(problems: problems.map { "mapping \(mapping.name): \($0)" })
    }
    return try mapping.plan(handler, on: stream)
  }
}
