import Testing

@testable import LambdaRuntime

@Suite("Turns at a function")
struct TurnQueueTests {
  private final class Caller {}

  @Test("callers take turns, each in its own order, and who leaves the queue is passed over")
  func turns() {
    let (first, second) = (Caller(), Caller())
    var queue = TurnQueue<Int>()
    for number in 1...4 { queue.append(number, number: number, of: ObjectIdentifier(first)) }
    for number in 5...6 { queue.append(number, number: number, of: ObjectIdentifier(second)) }
    queue.append(7, number: 7, of: nil)
    #expect(queue.count == 7)
    #expect(queue.remove(2) == 2)
    #expect(queue.remove(2) == nil)
    #expect(queue.remove(7) == 7)
    var order: [Int] = []
    while let next = queue.popFirst() {
      order.append(next)
      // One that comes back waits behind those who were there.
      if next == 5 { queue.append(8, number: 8, of: ObjectIdentifier(second)) }
    }
    #expect(order == [1, 5, 3, 6, 4, 8])
    #expect(queue.isEmpty)
  }
}
