/// The fields that the patterns of a filter ask for, as the names that lead to them: a node for each object on the way
/// and for each field, and from each node an edge to everything below it. An edge carries a whole key as it may stand
/// in a record, `b` or `b.c`, so that keys with dots need no work of their own.
struct FieldMap: Sendable {
  struct Node: Sendable {
    /// The conditions on a value that stands here: consecutive numbers.
    var conditions: Range<Int> = 0..<0
    /// Edges that leave here, by length of their key, then by its bytes.
    var edges: Range<Int> = 0..<0
    /// Bit n: an edge has a key of n bytes; bit 63: of 63 or more.
    var keyLengths: UInt64 = 0

    var hasEdges: Bool { keyLengths != 0 }
  }

  struct Edge: Sendable {
    var key: [UInt8]
    /// The key's first eight bytes, filled up with zeros.
    var beginning: UInt64
    var target: Int
  }

  /// The node of the whole record.
  static let root = 0

  private(set) var nodes: [Node]
  private(set) var edges: [Edge]
  private var places: [[UInt8]: Int]

  /// The node of the field that `names`, joined by dots, lead to.
  func node(_ name: String) -> Int? { places[Array(name.utf8)] }

  /// Lays out the fields of `conditions` and sorts them by field, which gives them their final numbers:
  /// `order[old]` is the new one.
  init(_ conditions: [FieldCondition], order: inout [Int]) {
    var paths: [[[UInt8]]] = [[]]
    var places: [[UInt8]: Int] = [:]
    var owners: [Int] = []
    for condition in conditions {
      var node = Self.root
      for length in 1...condition.path.count {
        let key = FieldPath.joined(condition.path[..<length])
        if let known = places[key] {
          node = known
        } else {
          node = paths.count
          places[key] = node
          paths.append(Array(condition.path[..<length]))
        }
      }
      owners.append(node)
    }
    nodes = [Node](repeating: Node(), count: paths.count)
    order = [Int](repeating: 0, count: conditions.count)
    for (new, old) in owners.indices.sorted(by: { (owners[$0], $0) < (owners[$1], $1) }).enumerated() {
      order[old] = new
      let node = nodes[owners[old]]
      nodes[owners[old]].conditions = (node.conditions.isEmpty ? new : node.conditions.lowerBound)..<(new + 1)
    }
    edges = []
    self.places = places
    connect(paths)
  }

  private mutating func connect(_ paths: [[[UInt8]]]) {
    var leaving = [[Edge]](repeating: [], count: paths.count)
    for (target, path) in paths.enumerated() {
      for length in path.indices {
        let start = length == 0 ? Self.root : places[FieldPath.joined(path[..<length])] ?? Self.root
        let key = FieldPath.joined(path[length...])
        leaving[start].append(Edge(key: key, beginning: Self.beginning(key), target: target))
      }
    }
    for node in paths.indices {
      leaving[node].sort { ($0.key.count, $0.beginning) < ($1.key.count, $1.beginning) }
      nodes[node].edges = edges.count..<(edges.count + leaving[node].count)
      for edge in leaving[node] { nodes[node].keyLengths |= 1 << UInt64(min(edge.key.count, 63)) }
      edges += leaving[node]
    }
  }

  private static func beginning(_ key: [UInt8]) -> UInt64 {
    key.prefix(8).enumerated().reduce(0) { $0 | UInt64($1.element) << UInt64($1.offset * 8) }
  }

  /// A key as long as `key` leads on from a node with these ``Node/keyLengths``. One with escapes may have any length.
  @inline(__always)
  static func mayHold(_ keyLengths: UInt64, _ key: JSONString) -> Bool {
    key.hasEscapes || keyLengths >> UInt64(min(key.count, 63)) & 1 == 1
  }

  /// The edge from `node` whose key stands at `range` of `bytes`.
  @inline(__always)
  func edge(from node: Int, key range: Range<Int>, in bytes: RawSpan) -> Int? {
    let lengths = nodes[node].keyLengths
    guard lengths >> UInt64(min(range.count, 63)) & 1 == 1 else { return nil }
    return search(nodes[node].edges, range, bytes)
  }

  private func search(_ candidates: Range<Int>, _ range: Range<Int>, _ bytes: RawSpan) -> Int? {
    let beginning = Self.beginning(bytes, range)
    var low = candidates.lowerBound
    var high = candidates.upperBound
    while low < high {
      let middle = (low &+ high) >> 1
      let isBelow =
        edges[middle].key.count != range.count
        ? edges[middle].key.count < range.count : edges[middle].beginning < beginning
      if isBelow { low = middle &+ 1 } else { high = middle }
    }
    while low < candidates.upperBound, edges[low].key.count == range.count, edges[low].beginning == beginning {
      if range.count <= 8 || bytes.holds(edges[low].key, at: range.lowerBound) { return low }
      low &+= 1
    }
    return nil
  }

  @inline(__always)
  private static func beginning(_ bytes: RawSpan, _ range: Range<Int>) -> UInt64 {
    let count = min(range.count, 8)
    guard count > 0 else { return 0 }
    if range.lowerBound &+ 8 <= bytes.byteCount {
      let word = UInt64(
        littleEndian: unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: range.lowerBound, as: UInt64.self))
      return word & (UInt64.max >> UInt64(64 &- count &* 8))
    }
    var word: UInt64 = 0
    for position in 0..<count { word |= UInt64(bytes.byte(range.lowerBound &+ position)) << UInt64(position &* 8) }
    return word
  }
}
