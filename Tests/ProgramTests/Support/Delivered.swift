import Foundation
import StreamModel

/// One record as the handler noted it.
struct Delivered {
  var life: Int
  /// The first record of the batch that it came in.
  var batch: SequenceNumber
  var sequenceNumber: SequenceNumber
  var data: Data

  init?(_ line: some StringProtocol) {
    let words = line.split(separator: " ")
    guard words.count == 4, let life = Int(words[0]), let batch = SequenceNumber(words[1]),
      let number = SequenceNumber(words[2]), let data = words[3] == "-" ? Data() : Data(base64Encoded: String(words[3]))
    else { return nil }
    (self.life, self.batch, sequenceNumber, self.data) = (life, batch, number, data)
  }

  var text: String { String(decoding: data, as: UTF8.self) }
}
