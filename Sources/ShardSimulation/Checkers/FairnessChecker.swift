import ShardCore

/// Fairness: a lane that waits for a permit gets one before those who came after it.
///
/// In the ring stand the other lanes of the mapping at most, each once. A turn may have been given in the very step that
/// brought the lane into the ring, before it came; a step gives no more of them than the mapping has permits.
enum FairnessChecker {
  /// `turnsOfOthers` were given to other lanes of the mapping while this one waited.
  static func check(turnsOfOthers: Int, lanesOfMapping: Int, _ policy: LanePolicy) -> StaticString? {
    turnsOfOthers < lanesOfMapping + policy.deliveriesInFlightLimit
      ? nil : "a lane waits while others have turn after turn"
  }
}
