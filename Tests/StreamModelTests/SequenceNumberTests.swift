import StreamModel
import Testing

@Suite("Sequence numbers")
struct SequenceNumberTests {
  /// The digits of the layout in hexadecimal, as a decimal number. Wide arithmetic by hand, digit by digit.
  private static func decimal(hexadecimal: String) -> String {
    var digits = [0]
    for character in hexadecimal {
      var carry = character.hexDigitValue ?? 0
      for place in digits.indices {
        let value = digits[place] * 16 + carry
        digits[place] = value % 10
        carry = value / 10
      }
      while carry > 0 {
        digits.append(carry % 10)
        carry /= 10
      }
    }
    return digits.reversed().map(String.init).joined()
  }

  private static func hexadecimal(_ value: some BinaryInteger, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: digits - text.count) + text
  }

  private static func layout(_ number: SequenceNumber) -> String {
    let seconds = hexadecimal(number.shardCreatedAtSeconds, digits: 9)
    return "2" + seconds + hexadecimal(number.shard.rawValue & 15, digits: 1)
      + hexadecimal(number.index.rawValue, digits: 16) + "00" + seconds
      + hexadecimal(number.shard.rawValue, digits: 8) + "2"
  }

  @Test("the start of a shard is the documented example")
  func example() {
    let number = SequenceNumber(shardCreatedAtSeconds: 1_790_000_000, shard: ShardNumber(0), index: .zero)
    #expect(Self.layout(number) == "206ab13b80000000000000000000006ab13b80000000002")
    #expect(number.description == "49678550650194360514240687840138543072338794381555269634")
  }

  @Test("the documented example with another record time is not one of ours")
  func foreign() {
    #expect(SequenceNumber("49678550650261262749836279709583701966090195033990889522") == nil)
  }

  @Test("the oracle turns the documented hexadecimal digits into the documented decimal ones")
  func oracle() {
    #expect(
      Self.decimal(hexadecimal: "206ab13b80300000000000000110006ab13be4000000032")
        == "49678550650261262749836279709583701966090195033990889522")
  }

  @Test("any number has 56 digits, follows the layout and reads back")
  func roundTrip() {
    var generator = SplitMix(state: 42)
    for _ in 0..<2_000 {
      let number = SequenceNumber(
        shardCreatedAtSeconds: UInt64.random(in: 0..<1 << 36, using: &generator),
        shard: ShardNumber(UInt32.random(in: .min ... .max, using: &generator)),
        index: RecordIndex(UInt64.random(in: 0...SequenceNumber.greatestIndex, using: &generator)))
      let text = number.description
      #expect(text.utf8.count == 56)
      let expected = Self.decimal(hexadecimal: Self.layout(number))
      #expect(text == String(repeating: "0", count: 56 - expected.count) + expected)
      #expect(SequenceNumber(text) == number)
    }
  }

  @Test("counted up, the digits are those of each number, wherever it begins and however far it goes at once")
  func countedUp() {
    var generator = SplitMix(state: 43)
    for round in 0..<300 {
      var number = SequenceNumber(
        shardCreatedAtSeconds: UInt64.random(in: 0..<1 << 36, using: &generator),
        shard: ShardNumber(UInt32.random(in: .min ... .max, using: &generator)),
        index: RecordIndex(UInt64.random(in: 0...SequenceNumber.greatestIndex >> UInt64(round % 63), using: &generator))
      )
      var digits = SequenceNumberDigits(number)
      for step in 0..<40 {
        let isFar = step % 10 == 9
        let distance = isFar ? UInt64.random(in: 0...1 << 40, using: &generator) : UInt64(step % 5 == 0 ? 0 : 1)
        let index = number.index.rawValue + distance
        guard index <= SequenceNumber.greatestIndex else { break }
        number.index = RecordIndex(index)
        digits.advance(to: number.index)
        let text = String(unsafeUninitializedCapacity: SequenceNumber.digitCount) { bytes in
          digits.write(to: UnsafeMutableRawBufferPointer(bytes))
          return SequenceNumber.digitCount
        }
        let expected = Self.decimal(hexadecimal: Self.layout(number))
        #expect(text == String(repeating: "0", count: 56 - expected.count) + expected, "\(number)")
      }
    }
  }

  @Test("the digits are counted up past a carry into the first eighteen of them")
  func carriedFar() {
    func number(_ index: UInt64) -> SequenceNumber {
      SequenceNumber(shardCreatedAtSeconds: 1_790_000_000, shard: ShardNumber(3), index: RecordIndex(index))
    }
    let first = number(0).description.prefix(18)
    // The last index before the carry.
    var (low, high) = (UInt64(0), UInt64(1) << 62)
    while high - low > 1 {
      let middle = low + (high - low) / 2
      if number(middle).description.prefix(18) == first { low = middle } else { high = middle }
    }
    #expect(number(low).description.prefix(18) != number(high).description.prefix(18))
    var digits = SequenceNumberDigits(number(low - 2))
    for index in low - 2...low + 2 {
      digits.advance(to: RecordIndex(index))
      let text = String(unsafeUninitializedCapacity: SequenceNumber.digitCount) { bytes in
        digits.write(to: UnsafeMutableRawBufferPointer(bytes))
        return SequenceNumber.digitCount
      }
      #expect(text == number(index).description)
    }
  }

  @Test("numbers of one shard are ordered as their texts are")
  func order() {
    let indexes: [UInt64] = [0, 1, 9, 10, 1 << 16, (1 << 48) - 1, 1 << 48, SequenceNumber.greatestIndex]
    let numbers = indexes.map {
      SequenceNumber(shardCreatedAtSeconds: 1_790_000_000, shard: ShardNumber(17), index: RecordIndex($0))
    }
    #expect(numbers == numbers.sorted())
    #expect(numbers.map(\.description) == numbers.map(\.description).sorted())
  }

  @Test(
    "what no shard can have given out is refused",
    arguments: [
      "", "0", "49678550650194360514240687840138543072338794381555269635", String(repeating: "9", count: 56),
      String(repeating: "0", count: 56), "4967855065019436051424068784013854307233879438155526963x",
    ])
  func malformed(text: String) {
    #expect(SequenceNumber(text) == nil)
  }
}

/// A small seeded generator, so that a failing case can be had again.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}
