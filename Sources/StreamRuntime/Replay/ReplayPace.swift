/// How fast virtual time goes where it follows real time: `factor` virtual seconds in each real one.
public struct ReplayPace: Sendable {
  /// Slower, and nobody waits for it; faster, and the machine's own delays would show as seconds.
  public static let factors = 0.1...1_000.0

  public let factor: Double
  let time: any ReplayTime

  /// - Precondition: the factor is one of ``factors``.
  public init(factor: Double, time: any ReplayTime = MachineTime()) {
    precondition(Self.factors.contains(factor), "a factor out of its bounds")
    self.factor = factor
    self.time = time
  }

  /// How much virtual time goes by in so much real time, in nanoseconds.
  func virtual(_ real: Int64) -> Int64 {
    Int64(exactly: (Double(real) * factor).rounded(.down)) ?? .max
  }

  /// The least real time in which so much virtual time goes by, in nanoseconds.
  func real(_ virtual: Int64) -> Int64 {
    guard var real = Int64(exactly: (Double(virtual) / factor).rounded(.up)) else { return .max }
    // Rounding may have taken what is missing.
    while self.virtual(real) < virtual, real < .max / 2 { real += 1 + real >> 50 }
    return real
  }

  /// How much virtual time a handler has that may really take so long, in milliseconds.
  func virtualMilliseconds(_ real: Int64) -> Int64 {
    max(1, Int64(exactly: (Double(real) * factor).rounded(.up)) ?? .max)
  }
}

/// The time that passes while handlers work. Tests have one of their own.
public protocol ReplayTime: Sendable {
  /// Nanoseconds since some moment. Never goes back.
  var nanoseconds: Int64 { get }

  /// Returns when it is so late, when the bell was rung, or earlier.
  ///
  /// `underWay`: deliveries whose handlers have not answered; each of them rings the bell when it does.
  func wait(until moment: Int64, or bell: ReplayBell, underWay: Int) async
}

/// The time of the machine, which no step of its wall clock changes.
public struct MachineTime: ReplayTime {
  private let beginning = ContinuousClock.now

  public init() {}

  public var nanoseconds: Int64 {
    let (seconds, attoseconds) = (ContinuousClock.now - beginning).components
    return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
  }

  public func wait(until moment: Int64, or bell: ReplayBell, underWay: Int) async {
    let instant = beginning + .nanoseconds(moment)
    guard ContinuousClock.now < instant else { return }
    let alarm = Task {
      // Cancelled as soon as the bell was rung by somebody else.
      guard (try? await Task.sleep(until: instant, tolerance: .zero, clock: .continuous)) != nil else { return }
      bell.ring()
    }
    await bell.rung()
    alarm.cancel()
  }
}
