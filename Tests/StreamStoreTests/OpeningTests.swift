import Glibc
import LMDB
import StreamModel
import StreamStore
import Testing

@Suite("StreamStore: opening")
struct OpeningTests {
  let folder = TemporaryStore()

  @Test("a writer creates folders that are missing")
  func creating() throws {
    let path = folder.path + "/a/b"
    do { _ = try StreamStore.open(at: path) }
    #expect(try StreamStore.open(at: path, role: .looker).catalog().streams.isEmpty)
    for name in ["data.mdb", "lock.mdb", "LOCK"] { unlink(path + "/" + name) }
    rmdir(path)
    rmdir(folder.path + "/a")
  }

  @Test("whoever only looks does not create a store")
  func missing() {
    #expect(throws: StoreError.missing(path: folder.path)) { try folder.open(role: .looker) }
    let path = folder.path + "/none"
    #expect(throws: StoreError.missing(path: path)) { try StreamStore.open(at: path, role: .looker) }
  }

  @Test("a store that may not be looked at is named with the reason")
  func unusable() throws {
    do { _ = try folder.open() }
    let lock = folder.path + "/lock.mdb"
    unlink(lock)
    mkdir(lock, 0o755)
    defer { rmdir(lock) }
    #expect {
      _ = try folder.open(role: .looker)
    } throws: {
      "\($0)".hasPrefix("the folder \(folder.path) cannot be used: Is a directory")
    }
  }

  @Test("a second writer is refused and hears who holds the store")
  func secondWriter() throws {
    let store = try folder.open()
    try store.setHolderNote(HolderNote(processID: getpid(), listenAddress: "127.0.0.1:4567"))
    let note = HolderNote(processID: getpid(), listenAddress: "127.0.0.1:4567")
    #expect(throws: StoreError.inUse(path: folder.path, holder: note)) { try folder.open() }
    #expect(StreamStore.holderNote(at: folder.path) == note)
    #expect(StoreError.inUse(path: "x", holder: note).description.contains("process \(getpid())"))
    store.close()
  }

  @Test("the note is gone when the writer has gone, and another may come")
  func nextWriter() throws {
    do { _ = try folder.open() }
    #expect(StreamStore.holderNote(at: folder.path) == nil)
    _ = try folder.open()
  }

  @Test("another format is refused and left as it is", arguments: [1, 5] as [UInt8])
  func otherFormat(number: UInt8) throws {
    do { _ = try folder.open() }
    do {
      let environment = try Environment(path: folder.path, options: EnvironmentOptions(mapBytes: 1 << 30))
      let meta = try #require(try environment.openTables(["meta"])[0])
      try environment.write { transaction throws(LMDBError) in
        try transaction.put(Key("format"), [number, 0, 0, 0, 0, 0, 0, 0], in: meta)
      }
    }
    let error =
      number > 4
      ? StoreError.newerFormat(found: 5, supported: 4) : StoreError.olderFormat(found: 1, supported: 4)
    #expect(throws: error) { try folder.open() }
    #expect(throws: error) { try folder.open(role: .looker) }
  }

  @Test("a file where the folder should be is refused")
  func fileInTheWay() {
    let path = folder.path + "/LOCK"
    close(open(path, O_CREAT | O_WRONLY, 0o644))
    #expect(throws: StoreError.self) { try StreamStore.open(at: path) }
  }

  @Test("a data file of something else is refused")
  func foreignFile() throws {
    let descriptor = Glibc.open(folder.path + "/data.mdb", O_CREAT | O_WRONLY, 0o644)
    let bytes = [UInt8](repeating: 0x41, count: 8192)
    #expect(write(descriptor, bytes, bytes.count) == bytes.count)
    close(descriptor)
    #expect(throws: StoreError.self) { try folder.open() }
  }

  @Test("a folder that may not be written is refused", .enabled(if: geteuid() != 0, "root may write everywhere"))
  func readOnlyFolder() {
    chmod(folder.path, 0o555)
    defer { chmod(folder.path, 0o755) }
    #expect(throws: StoreError.self) { try folder.open() }
  }

  @Test("a closed store refuses what comes later and still reads")
  func closed() throws {
    let store = try folder.open()
    let stream = try store.create()
    try store.append(0..<5, to: stream.number)
    store.close()
    store.close()
    #expect(throws: StoreError.notWriting) { try store.append(5..<6, to: stream.number) }
    #expect(try store.marks(.first(of: stream)) == [0, 1, 2, 3, 4])
  }

  @Test("whoever looks in another opening sees what was committed and writes nothing")
  func looking() throws {
    let stream: StreamInfo
    do {
      let store = try folder.open()
      stream = try store.create()
      try store.append(0..<5, to: stream.number)
    }
    let looker = try folder.open(role: .looker)
    #expect(try looker.catalog().stream(named: "orders") == stream)
    #expect(try looker.marks(.first(of: stream)) == [0, 1, 2, 3, 4])
    #expect(throws: StoreError.notWriting) { try looker.append(5..<6, to: stream.number) }
  }
}
