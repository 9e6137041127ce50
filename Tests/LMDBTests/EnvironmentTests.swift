import LMDB
import Testing

@Suite("LMDB: transactions")
struct EnvironmentTests {
  let folder = TemporaryFolder()

  func open(mapBytes: Int = 1 << 30, isReadOnly: Bool = false) throws -> (Environment, Database) {
    let environment = try Environment(
      path: folder.path, options: EnvironmentOptions(mapBytes: mapBytes, isReadOnly: isReadOnly))
    return (environment, try #require(try environment.openTables(["things"])[0]))
  }

  /// What the table holds: keys and the first byte of each value.
  func contents(_ environment: Environment, _ table: Database) throws -> [UInt64: UInt8] {
    try environment.read { transaction throws(LMDBError) in
      var found: [UInt64: UInt8] = [:]
      var cursor = try transaction.cursor(in: table)
      while try cursor.next() { found[cursor.key.number(at: 0)] = cursor.value.withUnsafeBytes { $0[0] } }
      return found
    }
  }

  @Test("what was committed is there when opened again")
  func committed() throws {
    do {
      let (environment, table) = try open()
      try environment.write { transaction throws(LMDBError) in
        try transaction.put(Key(UInt64(7)), [70], in: table)
        try transaction.put(Key(UInt64(8)), byteCount: 3, in: table) { $0.copyBytes(from: [80, 81, 82]) }
      }
    }
    let (environment, table) = try open()
    #expect(try contents(environment, table) == [7: 70, 8: 80])
  }

  @Test("nothing remains of a transaction whose body throws")
  func thrown() throws {
    let (environment, table) = try open()
    #expect(throws: LMDBError.panicked) {
      try environment.write { transaction throws(LMDBError) in
        try transaction.put(Key(UInt64(1)), [1], in: table)
        throw LMDBError.panicked
      }
    }
    #expect(try contents(environment, table).isEmpty)
  }

  @Test("a reader keeps its view while another thread commits")
  func snapshot() throws {
    let (environment, table) = try open()
    try environment.write { transaction throws(LMDBError) in try transaction.put(Key(UInt64(1)), [1], in: table) }
    let seen = try environment.read { transaction throws(LMDBError) -> UInt8? in
      try environment.write { transaction throws(LMDBError) in try transaction.put(Key(UInt64(1)), [2], in: table) }
      return try transaction.value(Key(UInt64(1)), in: table)?.withUnsafeBytes { $0[0] }
    }
    #expect(seen == 1)
    #expect(try contents(environment, table) == [1: 2])
  }

  @Test("a cursor seeks to the neighbours on both sides", arguments: 0...31)
  func seeking(number: UInt64) throws {
    let (environment, table) = try open()
    let present: [UInt64] = [3, 4, 10, 20, 30]
    try environment.write { transaction throws(LMDBError) in
      for number in present { try transaction.put(Key(number), [UInt8(number)], in: table, mode: .append) }
    }
    let (after, before) = try environment.read { transaction throws(LMDBError) -> (UInt64?, UInt64?) in
      var cursor = try transaction.cursor(in: table)
      let after: UInt64? = try cursor.seek(atOrAfter: Key(number)) ? cursor.key.number(at: 0) : nil
      let before: UInt64? = try cursor.seek(atOrBefore: Key(number)) ? cursor.key.number(at: 0) : nil
      return (after, before)
    }
    #expect(after == present.first { $0 >= number })
    #expect(before == present.last { $0 <= number })
  }

  @Test("deleting at a cursor goes on with the entry behind")
  func deleting() throws {
    let (environment, table) = try open()
    try environment.write { transaction throws(LMDBError) in
      for number in 0..<100 as Range<UInt64> { try transaction.put(Key(number), [UInt8(number)], in: table) }
      var cursor = try transaction.cursor(in: table)
      var isThere = try cursor.first()
      while isThere {
        if cursor.key.number(at: 0, as: UInt64.self) % 3 != 0 { try cursor.delete() }
        isThere = try cursor.next()
      }
    }
    #expect(try contents(environment, table).keys.sorted() == Array(stride(from: 0, to: 100, by: 3)))
  }

  @Test("a full map ends the transaction, and a smaller one goes through")
  func mapFull() throws {
    let (environment, table) = try open(mapBytes: 1 << 20)
    #expect(throws: LMDBError.mapFull) {
      try environment.write { transaction throws(LMDBError) in
        for number in 0..<100 as Range<UInt64> {
          try transaction.put(Key(number), [UInt8](repeating: 1, count: 100_000), in: table)
        }
      }
    }
    try environment.write { transaction throws(LMDBError) in try transaction.put(Key(UInt64(5)), [5], in: table) }
    #expect(try contents(environment, table) == [5: 5])
  }

  @Test("the same folder is not opened twice, and can be opened again later")
  func twice() throws {
    do {
      let (environment, table) = try open()
      #expect(throws: LMDBError.alreadyOpen(path: folder.path)) { try open() }
      #expect(try contents(environment, table).isEmpty)
    }
    _ = try open()
  }

  @Test("an environment that is only looked at must exist and cannot be changed")
  func readOnly() throws {
    #expect(throws: LMDBError.missing(path: folder.path)) { try open(isReadOnly: true) }
    _ = try open()
    let environment = try Environment(path: folder.path, options: EnvironmentOptions(isReadOnly: true))
    #expect(throws: LMDBError.self) { try environment.write { _ throws(LMDBError) in } }
  }

  @Test("more readers at once than there is room for are refused, and there is room when they end")
  func readersFull() throws {
    let environment = try Environment(path: folder.path, options: EnvironmentOptions(mapBytes: 1 << 30, readerLimit: 3))
    let table = try #require(try environment.openTables(["things"])[0])
    let depth = try environment.read { _ throws(LMDBError) in
      try environment.read { _ throws(LMDBError) in
        try environment.read { _ throws(LMDBError) -> Int in
          #expect(throws: LMDBError.readersFull) { try environment.read { _ throws(LMDBError) in } }
          try environment.write { transaction throws(LMDBError) in try transaction.put(Key(UInt64(1)), [1], in: table) }
          return 3
        }
      }
    }
    #expect(depth == 3)
    #expect(try contents(environment, table) == [1: 1])
  }

  @Test("pages that were freed are counted")
  func freePages() throws {
    let (environment, table) = try open()
    try environment.write { transaction throws(LMDBError) in
      try transaction.put(Key(UInt64(1)), [UInt8](repeating: 1, count: 400_000), in: table)
    }
    let before = try environment.freeBytes()
    let isRemoved = try environment.write { transaction throws(LMDBError) in
      try transaction.delete(Key(UInt64(1)), in: table)
    }
    #expect(isRemoved)
    #expect(try environment.freeBytes() >= before + 400_000)
    #expect(environment.usedBytes > 400_000)
  }
}

@Suite("LMDB: keys")
struct KeyTests {
  @Test("the order of keys is the order of their numbers")
  func order() {
    let numbers: [UInt64] = [0, 1, 255, 256, 65_535, 1 << 32, .max - 1, .max]
    for left in numbers {
      for right in numbers {
        #expect((Key(1, 2, left) < Key(1, 2, right)) == (left < right))
        #expect((Key(UInt32(1), 3, left) < Key(1, 2, right)) == false)
      }
    }
  }

  @Test("numbers come back from a key")
  func numbers() {
    var key = Key(7, 8, UInt64(9))
    key.append(UInt64.max)
    #expect(key.count == 24)
    #expect(key.number(at: 0, as: UInt32.self) == 7)
    #expect(key.number(at: 4, as: UInt32.self) == 8)
    #expect(key.number(at: 8, as: UInt64.self) == 9)
    #expect(key.number(at: 16, as: UInt64.self) == .max)
  }
}
