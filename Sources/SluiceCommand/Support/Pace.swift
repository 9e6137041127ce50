/// How fast a long command goes, for its progress line.
struct Pace {
  private let begun = ContinuousClock.now

  private var seconds: Double { max((ContinuousClock.now - begun).inSeconds, 0.001) }

  /// `1,200 a second`
  func rate(_ done: some BinaryInteger) -> String { "\(Text.count(Int(Double(done) / seconds))) a second" }

  /// `, 12 s left`; nothing where nobody knows how much there is, or nothing is done yet.
  func left(_ done: some BinaryInteger, of total: (some BinaryInteger)?) -> String {
    guard let total, done > 0, Double(total) >= Double(done) else { return "" }
    return ", \(Text.duration(Int64(Double(total - numericCast(done)) / Double(done) * seconds * 1_000))) left"
  }
}
