internal import EventPattern

extension ImportFormatReading {
  /// The records of each `{"Records":[…]}` of a file, one behind the other, in the memory of one record or of one other member.
  /// What follows something that is not JSON is nothing that could be read. `what` is what was expected, in words.
  ///
  /// Records go to `body` as they are met, so those in front of what is wrong with a page have gone there.
  func readRecords(
    of source: ImportSource, into sink: inout ImportSink, expected what: String,
    _ body: (JSONNode, ImportedFile, inout ImportSink) throws(ImportError) -> Void
  ) throws(ImportError) {
    while try source.passSpace() {
      let beginning = source.piece(to: source.start)
      do throws(PageFault) {
        guard try readPage(of: source, into: &sink, body) else {
          try sink.leavingOut(LineFault("\(what) was expected", at: 0), of: beginning)
          continue
        }
      } catch {
        switch error {
        case .end(let error): throw error
        case .broken(let fault):
          // Nothing says where the next page begins.
          return try sink.leaveOut(
            LineFault("\(fault.reason); nothing behind it can be read", at: fault.offset),
            of: source.piece(to: min(source.end, source.start + fault.offset)))
        }
      }
    }
  }

  /// Passes one value of the file; `false` if it is no object with a list `Records`.
  private func readPage(
    of source: ImportSource, into sink: inout ImportSink,
    _ body: (JSONNode, ImportedFile, inout ImportSink) throws(ImportError) -> Void
  ) throws(PageFault) -> Bool {
    guard try source.nextByte() == JSONByte.openBrace else {
      _ = try source.takeValue()
      return false
    }
    source.pass(1)
    var hasRecords = false
    var isList = false
    var hasMember = try source.hasFirst(until: JSONByte.closeBrace)
    while hasMember {
      let name = try source.takeKey()
      // As often as it may stand there: the first one counts.
      if name == "Records", !hasRecords {
        hasRecords = true
        isList = try source.nextByte() == JSONByte.openBracket
        if isList { try readList(of: source, into: &sink, body) } else { _ = try source.takeValue() }
      } else {
        _ = try source.takeValue()
      }
      hasMember = try source.hasNext(until: JSONByte.closeBrace)
    }
    return isList
  }

  private func readList(
    of source: ImportSource, into sink: inout ImportSink,
    _ body: (JSONNode, ImportedFile, inout ImportSink) throws(ImportError) -> Void
  ) throws(PageFault) {
    source.pass(1)
    var hasRecord = try source.hasFirst(until: JSONByte.closeBracket)
    while hasRecord {
      let piece = try source.takeValue()
      do throws(ImportError) { try give(piece, to: &sink, body) } catch { throw .end(error) }
      hasRecord = try source.hasNext(until: JSONByte.closeBracket)
    }
  }
}

extension ImportFormatReading {
  fileprivate func give(
    _ piece: ImportedFile, to sink: inout ImportSink,
    _ body: (JSONNode, ImportedFile, inout ImportSink) throws(ImportError) -> Void
  ) throws(ImportError) {
    let record: JSONNode
    do throws(LineFault) { record = try JSONNode(piece.bytes, from: 0, to: piece.bytes.count) } catch {
      return try sink.leaveOut(error, of: piece)
    }
    try body(record, piece, &sink)
  }
}

/// Why a page cannot be read on.
private enum PageFault: Error {
  /// It is not JSON there, seen from where the source is at.
  case broken(LineFault)
  case end(ImportError)
}

extension ImportSink {
  fileprivate mutating func leavingOut(_ fault: LineFault, of file: ImportedFile) throws(PageFault) {
    do throws(ImportError) { try leaveOut(fault, of: file) } catch { throw .end(error) }
  }
}

/// JSON step by step, as `JSONCursor` does it in memory: with the same faults at the same bytes.
extension ImportSource {
  /// The first byte of what follows, behind white space.
  fileprivate func nextByte() throws(PageFault) -> UInt8 {
    let isThere: Bool
    do throws(ImportError) { isThere = try passSpace() } catch { throw .end(error) }
    guard isThere else { throw fault(.endsEarly) }
    guard bytes[start] > 0x20 else { throw fault(.unexpectedByte) }
    return bytes[start]
  }

  /// Behind the opening bracket: is there a member or an element? Passes the closing one if there is none.
  fileprivate func hasFirst(until closing: UInt8) throws(PageFault) -> Bool {
    guard try nextByte() == closing else { return true }
    pass(1)
    return false
  }

  /// Behind a member or an element: is there another? Passes the comma or the closing bracket.
  fileprivate func hasNext(until closing: UInt8) throws(PageFault) -> Bool {
    let byte = try nextByte()
    guard byte == JSONByte.comma || byte == closing else { throw fault(.unexpectedByte) }
    pass(1)
    return byte == JSONByte.comma
  }

  /// Passes the key of a member and its colon.
  fileprivate func takeKey() throws(PageFault) -> String {
    guard try nextByte() == JSONByte.quote else { throw fault(.unexpectedByte) }
    let piece = try takeValue()
    let key: JSONNode
    do throws(LineFault) { key = try JSONNode(piece.bytes, from: 0, to: piece.bytes.count) } catch {
      throw .broken(error)
    }
    guard try nextByte() == JSONByte.colon else { throw fault(.unexpectedByte) }
    pass(1)
    guard case .text(let name) = key.value else { return "" }
    return String(decoding: name, as: UTF8.self)
  }

  /// Passes the value that follows.
  fileprivate func takeValue() throws(PageFault) -> ImportedFile {
    _ = try nextByte()
    let found: Result<Int, LineFault>
    do throws(ImportError) { found = try valueEnd() } catch { throw .end(error) }
    switch found {
    case .failure(let fault): throw .broken(fault)
    case .success(let end):
      let piece = piece(to: end)
      pass(end - start)
      return piece
    }
  }

  private func fault(_ kind: JSONFault.Kind) -> PageFault {
    .broken(LineFault("this is not JSON: \(JSONFault(kind: kind, offset: 0).reason)", at: 0))
  }
}
