/// Cuts the bytes of a connection into requests: HTTP/1.1 with `Content-Length` or chunks, with trailers, pipelined or
/// not. Bodies beyond a limit are read to their end and counted, but not kept.
struct HTTPRequestReader {
  /// The longest head: the clients for Python, Node and Ruby send the cause of an error in a field of up to 1 MiB.
  static let headByteLimit = (1 << 20) + (256 << 10)

  private let bodyByteLimit: Int
  /// What has come and is not taken, from `place` on.
  private var bytes: [UInt8] = []
  private var place = 0
  private var stage = Stage.head
  private var request = HTTPRequest()

  /// What comes next.
  private enum Stage {
    case head
    /// So many bytes of a body of known length.
    case body(remaining: Int)
    case chunkSize
    case chunk(remaining: Int)
    case chunkEnd
    case trailers
  }

  init(bodyByteLimit: Int) {
    self.bodyByteLimit = bodyByteLimit
  }

  /// Set when a client waits for `100 Continue` before it sends its body. Whoever says that sets it back.
  var wantsContinue = false

  mutating func append(_ more: ArraySlice<UInt8>) {
    if place == bytes.count {
      bytes.removeAll(keepingCapacity: true)
      place = 0
    } else if place > 65_536 {
      bytes.removeFirst(place)
      place = 0
    }
    bytes.append(contentsOf: more)
  }

  /// The next whole request; `nil` until more bytes have come.
  mutating func next() throws(HTTPFault) -> HTTPRequest? {
    while true {
      switch stage {
      case .head:
        guard try readHead() else { return nil }
      case .body(let remaining):
        let taken = takeBody(remaining)
        stage = .body(remaining: remaining - taken)
        return taken == remaining ? finish() : nil
      case .chunkSize:
        guard let line = try line() else { return nil }
        let size = try chunkSize(line)
        stage = size == 0 ? .trailers : .chunk(remaining: size)
      case .chunk(let remaining):
        let taken = takeBody(remaining)
        stage = .chunk(remaining: remaining - taken)
        guard taken == remaining else { return nil }
        stage = .chunkEnd
      case .chunkEnd:
        guard let line = try line() else { return nil }
        guard line.isEmpty else { throw .malformed("A chunk is longer than its size.") }
        stage = .chunkSize
      case .trailers:
        guard let line = try line() else { return nil }
        if line.isEmpty { return finish() }
        try takeField(bytes[line], isTrailer: true)
      }
    }
  }

  /// The request whose body the end of the connection cut off, if there is one.
  mutating func takeTruncated() -> HTTPRequest? {
    if case .head = stage { return nil }
    var cut = finish()
    cut.isTruncated = true
    return cut
  }

  private mutating func finish() -> HTTPRequest {
    defer { request = HTTPRequest() }
    stage = .head
    wantsContinue = false
    return request
  }

  // MARK: Head

  /// What the fields say about the body.
  private var contentLength: Int?
  private var isChunked = false

  /// Takes the head once it is whole.
  private mutating func readHead() throws(HTTPFault) -> Bool {
    // Some clients end a body with a line of its own.
    while place < bytes.count, bytes[place] == 13 || bytes[place] == 10 { place += 1 }
    guard let end = headEnd() else {
      if bytes.count - place > Self.headByteLimit { throw .headTooLarge }
      return false
    }
    contentLength = nil
    isChunked = false
    wantsContinue = false
    guard let first = try line() else { return false }
    try takeRequestLine(bytes[first])
    while place < end {
      guard let field = try line(), !field.isEmpty else { break }
      try takeField(bytes[field], isTrailer: false)
    }
    if isChunked {
      stage = .chunkSize
    } else {
      let length = contentLength ?? 0
      request.body.reserveCapacity(min(length, bodyByteLimit))
      stage = .body(remaining: length)
    }
    return true
  }

  /// Where the empty line behind the head ends.
  private func headEnd() -> Int? {
    var position = place
    while position < bytes.count {
      if bytes[position] == 10 {
        if position + 1 < bytes.count, bytes[position + 1] == 10 { return position + 2 }
        if position + 2 < bytes.count, bytes[position + 1] == 13, bytes[position + 2] == 10 { return position + 3 }
      }
      position += 1
    }
    return nil
  }

  /// The next line without its end; `nil` until it is whole.
  private mutating func line() throws(HTTPFault) -> Range<Int>? {
    var position = place
    while position < bytes.count, bytes[position] != 10 { position += 1 }
    guard position < bytes.count else {
      if bytes.count - place > Self.headByteLimit { throw .headTooLarge }
      return nil
    }
    let end = position > place && bytes[position - 1] == 13 ? position - 1 : position
    defer { place = position + 1 }
    return place..<end
  }

  private mutating func takeRequestLine(_ line: ArraySlice<UInt8>) throws(HTTPFault) {
    let parts = line.split(separator: 32)
    guard parts.count == 3 else { throw .malformed("The first line is not a method, a path and a version.") }
    let version = String(decoding: parts[2], as: UTF8.self)
    guard version == "HTTP/1.1" || version == "HTTP/1.0" else {
      throw HTTPFault(status: 505, message: "The Runtime API speaks HTTP/1.1.")
    }
    request.method = String(decoding: parts[0], as: UTF8.self)
    request.path = String(decoding: parts[1].prefix { $0 != UInt8(ascii: "?") }, as: UTF8.self)
    request.closesConnection = version == "HTTP/1.0"
  }

  private mutating func takeField(_ line: ArraySlice<UInt8>, isTrailer: Bool) throws(HTTPFault) {
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { throw .malformed("A field has no colon.") }
    let name = line[..<colon]
    func isNamed(_ text: StaticString) -> Bool { Self.isSame(name, text) }
    var value: String { Self.trimmed(line[(colon + 1)...]) }
    if isNamed("lambda-runtime-function-error-type") {
      request.errorType = value
    } else if isNamed("lambda-runtime-function-error-body") {
      request.errorBody = value
    } else if isTrailer {
      return
    } else if isNamed("content-length") {
      guard let length = Int(value), length >= 0 else { throw .malformed("Content-Length is not a number of bytes.") }
      contentLength = length
    } else if isNamed("transfer-encoding") {
      guard value.lowercased() == "chunked" else {
        throw HTTPFault(status: 501, message: "The only Transfer-Encoding is chunked.")
      }
      isChunked = true
    } else if isNamed("expect") {
      wantsContinue = value.lowercased() == "100-continue"
    } else if isNamed("connection") {
      let options = value.lowercased()
      if options.contains("close") { request.closesConnection = true }
      if options.contains("keep-alive") { request.closesConnection = false }
    } else if isNamed("lambda-runtime-function-response-mode") {
      request.responseMode = value
    }
  }

  /// Names of fields do not mind upper and lower case.
  private static func isSame(_ name: ArraySlice<UInt8>, _ text: StaticString) -> Bool {
    guard name.count == text.utf8CodeUnitCount else { return false }
    var position = 0
    for byte in name {
      let lower = byte >= 65 && byte <= 90 ? byte | 0x20 : byte
      guard unsafe lower == text.utf8Start[position] else { return false }
      position += 1
    }
    return true
  }

  private static func trimmed(_ bytes: ArraySlice<UInt8>) -> String {
    let isBlank = { (byte: UInt8) in byte == 32 || byte == 9 }
    var bytes = bytes.drop(while: isBlank)
    while let last = bytes.last, isBlank(last) { bytes.removeLast() }
    return String(decoding: bytes, as: UTF8.self)
  }

  // MARK: Body

  private mutating func takeBody(_ wanted: Int) -> Int {
    let count = min(wanted, bytes.count - place)
    let kept = max(0, min(count, bodyByteLimit - request.body.count))
    request.body.append(contentsOf: bytes[place..<(place + kept)])
    request.bodyByteCount += count
    place += count
    return count
  }

  private static func chunkSize(_ line: Range<Int>, in bytes: [UInt8]) -> Int? {
    let digits = bytes[line].prefix { $0 != UInt8(ascii: ";") }
    return Int(trimmed(digits), radix: 16).flatMap { $0 >= 0 ? $0 : nil }
  }

  private func chunkSize(_ line: Range<Int>) throws(HTTPFault) -> Int {
    guard let size = Self.chunkSize(line, in: bytes) else { throw .malformed("The size of a chunk is not a number.") }
    return size
  }
}
