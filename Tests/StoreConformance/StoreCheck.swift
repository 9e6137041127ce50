import ShardCore
import StreamModel

/// One thing that every store must do.
public struct StoreCheck: Sendable, CustomStringConvertible {
  /// A sentence.
  public let name: String
  /// A store that lacks one of these is not asked.
  public var needs: Set<StoreCapability> = []
  /// Throws ``Violation`` if the store, which is new and empty, does something else.
  public let run: @Sendable (any ConformingStore) throws -> Void

  public var description: String { name }

  /// Those that this kind of store can be asked for.
  public static func all(for store: any ConformingStore.Type) -> [StoreCheck] {
    all.filter { $0.needs.isDisjoint(with: store.lacks.keys) }
  }

  /// All of them.
  public static let all: [StoreCheck] =
    recordChecks + readingChecks + interleavingChecks + reshardingChecks + retentionChecks + progressChecks
    + expiryChecks + crashChecks
}

/// What a store did wrong.
public struct Violation: Error, CustomStringConvertible {
  public let description: String
}

/// Throws with the sentence `rule` unless `holds`.
func require(_ holds: Bool, _ rule: @autoclosure () -> String) throws {
  if !holds { throw Violation(description: rule()) }
}

/// Throws unless both are equal.
func require<Value: Equatable>(_ found: Value, is expected: Value, _ rule: @autoclosure () -> String) throws {
  if found != expected { throw Violation(description: "\(rule()): found \(found), expected \(expected)") }
}

/// A little vocabulary for the checks.
extension ConformingStore {
  /// A stream of one shard.
  func oneShard(_ name: String = "orders") throws -> ShardAddress {
    ShardAddress(stream: try createStream(name, shardCount: 1), shard: ShardNumber(0))
  }

  /// Records that differ in everything.
  func records(_ numbers: Range<Int>, byteCount: Int = 5) -> [ConformingRecord] {
    numbers.map { number in
      ConformingRecord(
        partitionKey: "key-\(number)", data: (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ number) })
    }
  }

  /// Puts them and waits.
  @discardableResult
  func append(_ numbers: Range<Int>, to address: ShardAddress, byteCount: Int = 5) throws -> [ConformingRecord] {
    let records = records(numbers, byteCount: byteCount)
    _ = try append(records, to: address.stream)
    return records
  }

  func read(
    _ address: ShardAddress, from index: UInt64, upTo count: Int = 10_000, payload: Int = .max / 2,
    expiredBefore: WallTime? = nil
  ) throws -> (answer: ReadAnswer, records: [ConformingRecord]) {
    try read(
      address,
      ReadRequest(
        from: RecordIndex(index), countLimit: count, payloadByteLimit: payload, expiredBefore: expiredBefore,
        purpose: .deliver))
  }

  /// The records and their extent; throws for any other answer.
  func found(_ address: ShardAddress, from index: UInt64, upTo count: Int = 10_000, payload: Int = .max / 2) throws
    -> (result: ReadResult, records: [ConformingRecord])
  {
    let (answer, records) = try read(address, from: index, upTo: count, payload: payload)
    guard case .records(let result) = answer else {
      throw Violation(description: "records were expected from \(index) on, found \(answer)")
    }
    return (result, records)
  }
}
