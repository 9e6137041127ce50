import Testing

@testable import LambdaRuntime

@Suite("Requests of runtimes as bytes")
struct HTTPRequestReaderTests {
  /// All requests in `text`, fed `step` bytes at a time.
  private func requests(_ text: String, step: Int = .max, limit: Int = 100) throws -> [HTTPRequest] {
    var reader = HTTPRequestReader(bodyByteLimit: limit)
    var found: [HTTPRequest] = []
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      reader.append(rest.prefix(step))
      rest = rest.dropFirst(step)
      while let request = try reader.next() { found.append(request) }
    }
    return found
  }

  @Test("two requests in one piece or byte by byte are the same two", arguments: [1, 2, 7, 1_000])
  func pieces(step: Int) throws {
    let text =
      "GET /2018-06-01/runtime/invocation/next?x=1 HTTP/1.1\r\nHost: x\r\n\r\n"
      + "POST /a HTTP/1.1\r\ncontent-LENGTH: 3\r\nConnection: close\r\n\r\nabc"
    let found = try requests(text, step: step)
    try #require(found.count == 2)
    #expect(found[0].method == "GET")
    #expect(found[0].path == "/2018-06-01/runtime/invocation/next")
    #expect(!found[0].closesConnection)
    #expect(found[1].body == Array("abc".utf8))
    #expect(found[1].closesConnection)
  }

  @Test("chunks are joined, and the trailers say that the function failed midway", arguments: [1, 5, 1_000])
  func chunks(step: Int) throws {
    let text =
      "POST /r HTTP/1.1\r\nTransfer-Encoding: chunked\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n"
      + "Trailer: Lambda-Runtime-Function-Error-Type\r\n\r\n4\r\nabcd\r\nA;x=y\r\n0123456789\r\n0\r\n"
      + "Lambda-Runtime-Function-Error-Type: Runtime.Midway\r\nLambda-Runtime-Function-Error-Body: e30=\r\n\r\n"
    let found = try requests(text, step: step)
    try #require(found.count == 1)
    #expect(found[0].body == Array("abcd0123456789".utf8))
    #expect(found[0].responseMode == "streaming")
    #expect(found[0].errorType == "Runtime.Midway")
    #expect(found[0].errorBody == "e30=")
  }

  @Test("a body beyond the limit is counted and not kept, and the next request is found behind it")
  func large() throws {
    let body = String(repeating: "x", count: 1_000)
    let found = try requests(
      "POST /r HTTP/1.1\r\nContent-Length: 1000\r\n\r\n\(body)GET /n HTTP/1.1\r\n\r\n", step: 64, limit: 100)
    try #require(found.count == 2)
    #expect(found[0].body.count == 100)
    #expect(found[0].bodyByteCount == 1_000)
    #expect(found[1].path == "/n")
  }

  @Test("who waits for 100 Continue is noticed once the head is there")
  func continues() throws {
    var reader = HTTPRequestReader(bodyByteLimit: 100)
    reader.append(Array("POST /r HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n".utf8)[...])
    #expect(try reader.next() == nil)
    #expect(reader.wantsContinue)
    reader.append(Array("{}".utf8)[...])
    #expect(try reader.next()?.body == Array("{}".utf8))
    #expect(!reader.wantsContinue)
  }

  @Test("a body that the end of the connection cuts off is told as such")
  func truncated() throws {
    var reader = HTTPRequestReader(bodyByteLimit: 100)
    reader.append(Array("POST /r HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab".utf8)[...])
    #expect(try reader.next() == nil)
    let cut = reader.takeTruncated()
    #expect(cut?.isTruncated == true)
    #expect(cut?.body == Array("ab".utf8))
    #expect(reader.takeTruncated() == nil)
  }

  @Test(
    "what is not HTTP/1.1 as we take it is refused",
    arguments: [
      ("GET\r\n\r\n", 400), ("GET / HTTP/2.0\r\n\r\n", 505), ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
      ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
      ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
      ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
      ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 400),
      ("GET / HTTP/1.1\r\nx: " + String(repeating: "y", count: 1_400_000), 431),
    ])
  func refused(text: String, status: Int) {
    #expect {
      _ = try requests(text)
    } throws: { error in
      (error as? HTTPFault)?.status == status
    }
  }
}
