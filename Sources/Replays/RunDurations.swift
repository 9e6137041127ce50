/// How long the invocations of a run really took, and how much memory they needed. Two runs of the same are never quite
/// alike in it.
public struct RunDurations: Codable, Hashable, Sendable {
  public var invocations: Int
  /// Microseconds.
  public var median: Int64
  public var ninetyNinth: Int64
  public var longest: Int64
  public var total: Int64
  /// The largest resident memory of a process of the handler that was seen.
  public var peakMemoryBytes: Int64?
  /// How many took up to 10 µs, up to 20, 40, 80, and so on.
  var steps: [Int]

  static let firstStep: Int64 = 10

  /// `nil` if nothing was measured.
  init?(microseconds: [Int64], peakMemoryBytes: Int64?) {
    guard !microseconds.isEmpty else { return nil }
    let sorted = microseconds.sorted()
    func at(_ share: Double) -> Int64 { sorted[min(sorted.count - 1, Int(share * Double(sorted.count)))] }
    invocations = sorted.count
    median = at(0.5)
    ninetyNinth = at(0.99)
    longest = sorted[sorted.count - 1]
    total = sorted.reduce(0) { $0.addingReportingOverflow($1).partialValue }
    self.peakMemoryBytes = peakMemoryBytes
    var steps: [Int] = []
    for time in sorted {
      var (step, limit) = (0, Self.firstStep)
      while time > limit, step < 40 {
        step += 1
        limit *= 2
      }
      while steps.count <= step { steps.append(0) }
      steps[step] += 1
    }
    self.steps = steps
  }
}
