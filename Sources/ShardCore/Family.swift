/// Which lanes wait for which: a child shard starts when all its parents are finished, and durably so.
struct Family: Hashable {
  private var children: [[LaneID]] = []
  /// By lane, 0 ... 20: two parents, of ten lanes each.
  private var unfinishedParentCounts: [Int] = []

  /// Adds the next lane. `unfinishedParents` are those of its parents whose end is not durable yet.
  mutating func add(unfinishedParents: [LaneID]) {
    let lane = LaneID(children.count)
    children.append([])
    unfinishedParentCounts.append(unfinishedParents.count)
    for parent in unfinishedParents { children[parent.rawValue].append(lane) }
  }

  /// The lane's end is durable. Returns its children, each of which may wait for another parent still.
  mutating func finish(_ lane: LaneID) -> [LaneID] {
    let freed = children[lane.rawValue]
    children[lane.rawValue] = []
    for child in freed { unfinishedParentCounts[child.rawValue] -= 1 }
    return freed
  }

  func hasUnfinishedParents(_ lane: LaneID) -> Bool { unfinishedParentCounts[lane.rawValue] > 0 }
}
