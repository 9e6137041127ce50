import EventPattern
import Locks
public import StreamModel

/// A record about which a filter could not say whether its patterns match.
public struct FilterExample: Hashable, Sendable {
  public var sequenceNumber: SequenceNumber
  public var partitionKey: String
  public var arrival: WallTime
  /// The first bytes of its data.
  public var data: [UInt8]
  /// How many bytes its data has.
  public var dataByteCount: Int
  /// Why, in words.
  public var reason: String

  public init(
    sequenceNumber: SequenceNumber, partitionKey: String, arrival: WallTime, data: [UInt8], dataByteCount: Int,
    reason: String
  ) {
    self.sequenceNumber = sequenceNumber
    self.partitionKey = partitionKey
    self.arrival = arrival
    self.data = data
    self.dataByteCount = dataByteCount
    self.reason = reason
  }

  init(_ record: borrowing RecordView, because reason: String) {
    let data = record.dataBytes
    self.init(
      sequenceNumber: record.sequenceNumber, partitionKey: record.partitionKey, arrival: record.arrival,
      data: Array(data.prefix(FilterExamples.dataByteLimit)), dataByteCount: data.count, reason: reason)
  }
}

/// The first records of a mapping that its filter could not judge, for people. They are stored with the mapping's
/// settings within a second, and forgotten when its `FilterCriteria` change.
public struct FilterExamples: Hashable, Sendable {
  /// Held back because the patterns ask for fields of the data, and the data is not JSON. In the order in which lanes
  /// came to them.
  public private(set) var notJSON: [FilterExample] = []
  /// Let through because their arrays combine in more ways than are tried.
  public private(set) var undecided: [FilterExample] = []

  /// Of each kind.
  public static let limit = 10
  public static let dataByteLimit = 200

  public init() {}

  public var isEmpty: Bool { notJSON.isEmpty && undecided.isEmpty }

  /// Kinds of which there are not enough yet.
  struct Room: OptionSet, Sendable {
    var rawValue: UInt8
    static let notJSON = Room(rawValue: 1)
    static let undecided = Room(rawValue: 2)

    func takes(_ verdict: SelectionVerdict) -> Bool {
      switch verdict {
      case .notJSON: contains(.notJSON)
      case .undecided: contains(.undecided)
      case .taken, .anotherLane, .filteredOut, .done, .endsBatch: false
      }
    }
  }

  var room: Room {
    var room: Room = []
    if notJSON.count < Self.limit { room.insert(.notJSON) }
    if undecided.count < Self.limit { room.insert(.undecided) }
    return room
  }

  public mutating func add(_ example: FilterExample, of verdict: SelectionVerdict) {
    switch verdict {
    case .notJSON: Self.add(example, to: &notJSON)
    case .undecided: Self.add(example, to: &undecided)
    case .taken, .anotherLane, .filteredOut, .done, .endsBatch: break
    }
  }

  /// A record that is read again after a restart is no second example.
  private static func add(_ example: FilterExample, to list: inout [FilterExample]) {
    guard list.count < limit, !list.contains(where: { $0.sequenceNumber == example.sequenceNumber }) else { return }
    list.append(example)
  }
}

/// Holds the examples of a mapping for all its lanes.
final class FilterExampleRegister: Sendable {
  private let value: Mutex<FilterExamples>

  init(_ examples: FilterExamples) {
    value = Mutex(examples)
  }

  var examples: FilterExamples { value.withLock(\.self) }
  var room: FilterExamples.Room { value.withLock(\.room) }

  func add(_ found: [(example: FilterExample, verdict: SelectionVerdict)]) {
    value.withLock { examples in
      for (example, verdict) in found { examples.add(example, of: verdict) }
    }
  }
}

extension ByteWriter {
  mutating func write(_ examples: FilterExamples) {
    for list in [examples.notJSON, examples.undecided] {
      write(UInt8(list.count))
      for example in list {
        write(example.sequenceNumber.description)
        write(example.partitionKey)
        write(example.arrival.milliseconds)
        write(example.data)
        write(UInt32(clamping: example.dataByteCount))
        write(example.reason)
      }
    }
  }
}

extension ByteReader {
  mutating func readFilterExamples() throws(LaneRecordError) -> FilterExamples {
    var examples = FilterExamples()
    for verdict in [SelectionVerdict.notJSON(.init(kind: .endsEarly, offset: 0)), .undecided] {
      let count: UInt8 = try read()
      guard count <= FilterExamples.limit else { throw .malformed }
      for _ in 0..<count {
        guard let number = SequenceNumber(try readString()) else { throw .malformed }
        let key = try readString()
        let arrival: Int64 = try read()
        let data = try readBytes()
        let size: UInt32 = try read()
        examples.add(
          FilterExample(
            sequenceNumber: number, partitionKey: key, arrival: WallTime(milliseconds: arrival), data: data,
            dataByteCount: Int(size), reason: try readString()),
          of: verdict)
      }
    }
    return examples
  }
}
