/// Pictures of two runs, one above the other, as SVG inside of a page.
struct RunPictures {
  let before: RunFile
  let after: RunFile

  private static let width = 960
  private static let labelWidth = 150
  private static let barHeight = 16

  // MARK: What became of the records

  /// For each shard two bars, from its first record to its last: green is done, red has left, grey is unsettled.
  func records() -> String {
    let shards = Set(before.outcomes.keys).union(after.outcomes.keys).sorted()
    guard !shards.isEmpty else { return "" }
    var svg = ""
    var y = 4
    for shard in shards.prefix(Self.shardLimit) {
      let stretches = [before.outcomes[shard] ?? [], after.outcomes[shard] ?? []]
      let first = stretches.compactMap { $0.first?.records.lowerBound }.min() ?? 0
      let last = stretches.compactMap { $0.map(\.records.upperBound).max() }.max() ?? first
      for (name, run) in zip(["before", "after"], stretches) {
        svg += label("shard \(shard), \(name)", y)
        svg += bar(run, first...last, y)
        y += Self.barHeight + 2
      }
      y += 8
    }
    return Self.picture(height: y, svg)
  }

  static let shardLimit = 64

  private func bar(_ stretches: [RunFile.Stretch], _ all: ClosedRange<UInt64>, _ y: Int) -> String {
    let count = Double(all.upperBound - all.lowerBound) + 1
    let space = Double(Self.width - Self.labelWidth)
    // By pixel: the worst that any of its records came to, so that one record among a million shows.
    var worst = [Int](repeating: 0, count: Self.width - Self.labelWidth)
    for stretch in stretches {
      let rank =
        switch stretch.outcome {
        case .waiting: 0
        case .succeeded: 1
        case .unsettled, .retrying: 2
        case .left: 3
        }
      let low = Int(Double(stretch.records.lowerBound - all.lowerBound) / count * space)
      let high = Int((Double(stretch.records.upperBound - all.lowerBound) + 1) / count * space) - 1
      for place in low...min(max(low, high), worst.count - 1) { worst[place] = max(worst[place], rank) }
    }
    return runs(of: worst, y) { ["#d5d9de", "#3d9a5f", "#9aa3ad", "#c8412f"][$0] }
  }

  /// One rectangle for each stretch of pixels of one kind.
  private func runs(of kinds: [Int], _ y: Int, _ color: (Int) -> String) -> String {
    var svg = ""
    var start = 0
    for place in 1...kinds.count where place == kinds.count || kinds[place] != kinds[start] {
      svg +=
        "<rect x='\(Self.labelWidth + start)' y='\(y)' width='\(place - start)' height='\(Self.barHeight)' "
        + "fill='\(color(kinds[start]))'/>"
      start = place
    }
    return svg
  }

  // MARK: Invocations in virtual time

  /// How many invocations succeeded and failed, in as many stretches of virtual time as there are columns.
  func invocations() -> String {
    let runs = [before.moments, after.moments]
    let all = runs.joined().map(\.at)
    guard let first = all.min(), let last = all.max() else { return "" }
    let columns = 160
    let step = max(1, (last - first) / Int64(columns) + 1)
    let counts = runs.map { moments in
      var counts = [(succeeded: Int, failed: Int)](repeating: (0, 0), count: columns)
      for moment in moments {
        let place = min(columns - 1, Int((moment.at - first) / step))
        if moment.succeeded { counts[place].succeeded += 1 } else { counts[place].failed += 1 }
      }
      return counts
    }
    let most = max(1, counts.joined().map { $0.succeeded + $0.failed }.max() ?? 1)
    let height = 80
    var svg = ""
    for (place, run) in counts.enumerated() {
      let bottom = (place + 1) * (height + 24) - 12
      svg += label(place == 0 ? "before" : "after", bottom - height)
      svg += "<text x='0' y='\(bottom - height + 30)' class='small'>up to \(most) a column</text>"
      svg += columnsOf(run, most, bottom, height)
      svg += "<line x1='\(Self.labelWidth)' x2='\(Self.width)' y1='\(bottom)' y2='\(bottom)' stroke='#888'/>"
    }
    return Self.picture(height: 2 * (height + 24), svg)
  }

  private func columnsOf(
    _ counts: [(succeeded: Int, failed: Int)], _ most: Int, _ bottom: Int, _ height: Int
  ) -> String {
    let width = Double(Self.width - Self.labelWidth) / Double(counts.count)
    var svg = ""
    for (place, count) in counts.enumerated() where count.succeeded + count.failed > 0 {
      let x = Self.rounded(Double(Self.labelWidth) + Double(place) * width)
      var y = Double(bottom)
      for (number, color) in [(count.succeeded, "#3d9a5f"), (count.failed, "#c8412f")] where number > 0 {
        let size = max(1, Double(number) / Double(most) * Double(height))
        y -= size
        svg +=
          "<rect x='\(x)' y='\(Self.rounded(y))' width='\(Self.rounded(max(1, width - 0.6)))' "
          + "height='\(Self.rounded(size))' fill='\(color)'/>"
      }
    }
    return svg
  }

  // MARK: Real durations

  /// How long invocations took, in steps of two; empty where nothing was measured.
  func durations() -> String {
    let runs = [before.durations, after.durations]
    guard runs.contains(where: { $0 != nil }) else { return "" }
    let steps = runs.compactMap { $0?.steps.count }.max() ?? 0
    let first = runs.compactMap { $0?.steps.firstIndex { $0 > 0 } }.min() ?? 0
    let most = max(1, runs.compactMap { $0?.steps.max() }.max() ?? 1)
    let height = 100
    let width = Double(Self.width - Self.labelWidth) / Double(max(1, steps - first))
    var svg = label("invocations by", 20) + "<text x='0' y='48' class='small'>real time; grey before</text>"
    for step in first..<max(first, steps) {
      let x = Double(Self.labelWidth) + Double(step - first) * width
      for (place, run) in runs.enumerated() {
        let count = run.map { step < $0.steps.count ? $0.steps[step] : 0 } ?? 0
        guard count > 0 else { continue }
        let size = max(1, Double(count) / Double(most) * Double(height))
        svg +=
          "<rect x='\(Self.rounded(x + Double(place) * width * 0.45))' y='\(Self.rounded(Double(height) - size))' "
          + "width='\(Self.rounded(width * 0.42))' height='\(Self.rounded(size))' "
          + "fill='\(place == 0 ? "#9aa3ad" : "#3566a8")'/>"
      }
      let limit = RunDurations.firstStep << Int64(step)
      svg +=
        "<text x='\(Self.rounded(x))' y='\(height + 14)' class='small'>≤ \(RunReport.duration(microseconds: limit))</text>"
    }
    return Self.picture(height: height + 20, svg)
  }

  private func label(_ text: String, _ y: Int) -> String {
    "<text x='0' y='\(y + Self.barHeight - 4)'>\(HTMLText.escaped(text))</text>"
  }

  private static func picture(height: Int, _ inside: String) -> String {
    "<svg viewBox='0 0 \(width) \(height)' role='img'>\(inside)</svg>"
  }

  /// With one digit behind the point.
  private static func rounded(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
}
