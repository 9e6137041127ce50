import Locks

/// The moment at which a worker is of use: its port is bound and every lane is open, in whichever order that comes.
final class Readiness: Sendable {
  private struct State {
    var address: String?
    var lanesAreOpen = false
    var isAnnounced = false
  }

  private let state = Mutex(State())
  private let announce: @Sendable (String) -> Void

  /// `announce` is called once, with the bound address.
  init(announce: @escaping @Sendable (String) -> Void) {
    self.announce = announce
  }

  /// Where the port is; `nil` until it is bound.
  var address: String? { state.withLock { $0.address } }

  func portIsBound(to address: String) { advance { $0.address = address } }

  func lanesAreOpen() { advance { $0.lanesAreOpen = true } }

  private func advance(_ change: (inout State) -> Void) {
    let address = state.withLock { state -> String? in
      change(&state)
      guard state.lanesAreOpen, !state.isAnnounced, let address = state.address else { return nil }
      state.isAnnounced = true
      return address
    }
    if let address { announce(address) }
  }
}
