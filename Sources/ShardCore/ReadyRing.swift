/// The lanes of one mapping that want a permit, first come first served, and the permits.
///
/// The links between lanes lie in the schedule, so that entering, leaving and taking cost the same at any length.
struct ReadyRing: Hashable {
  /// Deliveries of the mapping in flight at once, with the reads that lead to them.
  var permitLimit: Int
  var permitsInUse = 0
  fileprivate(set) var first = ReadyLink.none
  fileprivate var last = ReadyLink.none

  init(permitLimit: Int) {
    self.permitLimit = permitLimit
  }

  var hasTurn: Bool { first != ReadyLink.none && permitsInUse < permitLimit }
}

/// A lane's neighbours in its ring.
struct ReadyLink: Hashable {
  static let none = -1

  var isLinked = false
  var former = Self.none
  var next = Self.none
}

extension ReadyRing {
  mutating func append(_ lane: Int, _ links: inout [ReadyLink]) {
    precondition(!links[lane].isLinked, "a lane stands in its ring once")
    links[lane] = ReadyLink(isLinked: true, former: last, next: ReadyLink.none)
    if last == ReadyLink.none { first = lane } else { links[last].next = lane }
    last = lane
  }

  mutating func remove(_ lane: Int, _ links: inout [ReadyLink]) {
    let link = links[lane]
    precondition(link.isLinked, "only a lane that stands in the ring can leave it")
    if link.former == ReadyLink.none { first = link.next } else { links[link.former].next = link.next }
    if link.next == ReadyLink.none { last = link.former } else { links[link.next].former = link.former }
    links[lane] = ReadyLink()
  }
}
