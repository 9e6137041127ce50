internal import CLMDB

/// How malloc treats memory of the sizes that LMDB and record runs use.
///
/// LMDB allocates every large value of a write transaction and frees it at the end of it. With malloc's own settings
/// each becomes a mapping of its own and comes back as page faults, which cost more than all the rest of an append.
enum MallocSettings {
  /// Blocks and slabs below this stay in the heap.
  static let mapThresholdBytes: Int32 = 32 << 20
  /// Free memory at the top of a heap beyond this goes back to the system.
  static let trimThresholdBytes: Int32 = 24 << 20
  /// A heap grows in steps of this.
  static let topPadBytes: Int32 = 1 << 20

  /// Applies the settings to the process, once. A setting that malloc refuses costs speed and nothing else.
  static let apply: Void = {
    _ = mallopt(M_MMAP_THRESHOLD, mapThresholdBytes)
    _ = mallopt(M_TRIM_THRESHOLD, trimThresholdBytes)
    _ = mallopt(M_TOP_PAD, topPadBytes)
  }()
}
