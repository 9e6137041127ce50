import Foundation
import StreamModel

/// One record as the handler noted it.
struct Delivered {
  var life: Int
  var sequenceNumber: SequenceNumber
  var data: Data

  init?(_ line: some StringProtocol) {
    let words = line.split(separator: " ")
    guard words.count == 3, let life = Int(words[0]), let number = SequenceNumber(words[1]),
      let data = words[2] == "-" ? Data() : Data(base64Encoded: String(words[2]))
    else { return nil }
    (self.life, sequenceNumber, self.data) = (life, number, data)
  }

  var text: String { String(decoding: data, as: UTF8.self) }
}
