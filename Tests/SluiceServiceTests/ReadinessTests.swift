import Locks
@testable import SluiceService
import Testing

@Suite("Readiness")
struct ReadinessTests {
  private final class Announcements: Sendable {
    private let list = Mutex<[String]>([])

    var all: [String] { list.withLock { $0 } }

    func add(_ address: String) { list.withLock { $0.append(address) } }
  }

  private let announced = Announcements()

  private var readiness: Readiness { Readiness { [announced] in announced.add($0) } }

  @Test("a bound port alone is not enough: the lanes must be open")
  func portFirst() {
    let readiness = readiness
    readiness.portIsBound(to: "127.0.0.1:1")
    #expect(announced.all.isEmpty)
    readiness.lanesAreOpen()
    #expect(announced.all == ["127.0.0.1:1"])
  }

  @Test("open lanes alone are not enough: the port must be bound")
  func lanesFirst() {
    let readiness = readiness
    readiness.lanesAreOpen()
    #expect(announced.all.isEmpty)
    readiness.portIsBound(to: "127.0.0.1:1")
    #expect(announced.all == ["127.0.0.1:1"])
  }

  @Test("it is said once")
  func once() {
    let readiness = readiness
    readiness.lanesAreOpen()
    readiness.portIsBound(to: "127.0.0.1:1")
    readiness.lanesAreOpen()
    readiness.portIsBound(to: "127.0.0.1:2")
    #expect(announced.all == ["127.0.0.1:1"])
  }
}
