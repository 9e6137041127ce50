internal import CZlib
internal import CZstd

/// Reads what was compressed with zstd or gzip.
@safe
final class Decompressor {
  enum Format {
    case zstd
    case gzip

    /// What the first bytes of a file show; `nil` if it is not compressed.
    init?(_ beginning: some Collection<UInt8>) {
      if beginning.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) {
        self = .zstd
      } else if beginning.starts(with: [0x1f, 0x8b]) {
        self = .gzip
      } else {
        return nil
      }
    }
  }

  /// The file ended inside of a frame or a member.
  private(set) var endedEarly = false

  private let format: Format
  private let path: String
  private let read: (UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int
  private let input: UnsafeMutableRawBufferPointer
  private var begin = 0
  private var end = 0
  /// Bytes of the file before those of `input`.
  private var passed: UInt64 = 0
  private var isInside = false
  /// The memory was filled last time: there may be more without more of the file.
  private var holdsMore = false
  private let context: OpaquePointer?
  private let stream: UnsafeMutablePointer<z_stream>?

  private static let inputByteCount = 256 << 10

  /// `read` fills the front of the memory with bytes of the file; 0 at its end.
  init(
    _ format: Format, path: String,
    _ read: @escaping (UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int
  ) {
    self.format = format
    self.path = path
    unsafe self.read = read
    unsafe input = .allocate(byteCount: Self.inputByteCount, alignment: 16)
    switch format {
    case .zstd:
      unsafe context = ZSTD_createDCtx()
      unsafe stream = nil
    case .gzip:
      unsafe context = nil
      let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
      let result = unsafe sluice_gunzip_begin(stream)
      precondition(result == Z_OK, "there is memory for a decompressor")
      unsafe self.stream = stream
    }
  }

  deinit {
    unsafe input.deallocate()
    if let context = unsafe context { unsafe ZSTD_freeDCtx(context) }
    if let stream = unsafe stream {
      unsafe inflateEnd(stream)
      unsafe stream.deallocate()
    }
  }

  /// Fills the front of the memory, as far as there is something; 0 at the end, also where the file ends too early.
  func decompress(into memory: UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int {
    while true {
      if begin == end, !holdsMore {
        passed += UInt64(end)
        begin = 0
        end = unsafe try read(input)
        guard end > 0 else {
          endedEarly = isInside
          return 0
        }
      }
      let count =
        switch format {
        case .zstd: unsafe try decompressFrames(into: memory)
        case .gzip: unsafe try decompressMembers(into: memory)
        }
      holdsMore = count == memory.count
      if count > 0 { return count }
    }
  }

  private func decompressFrames(into memory: UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int {
    var source = unsafe ZSTD_inBuffer(src: input.baseAddress, size: end, pos: begin)
    var target = unsafe ZSTD_outBuffer(dst: memory.baseAddress, size: memory.count, pos: 0)
    let result = unsafe ZSTD_decompressStream(context, &target, &source)
    let isBusy = unsafe source.pos > begin || target.pos > 0
    begin = unsafe source.pos
    guard ZSTD_isError(result) == 0 else { throw damaged(unsafe String(cString: ZSTD_getErrorName(result))) }
    if isBusy { isInside = result != 0 }
    return unsafe target.pos
  }

  private func decompressMembers(into memory: UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int {
    guard let stream = unsafe stream, let start = unsafe input.baseAddress, let target = memory.baseAddress else {
      return 0
    }
    unsafe stream.pointee.next_in = (start + begin).assumingMemoryBound(to: UInt8.self)
    unsafe stream.pointee.avail_in = UInt32(end - begin)
    unsafe stream.pointee.next_out = target.assumingMemoryBound(to: UInt8.self)
    unsafe stream.pointee.avail_out = UInt32(memory.count)
    let first = begin
    let result = unsafe inflate(stream, Z_NO_FLUSH)
    begin = unsafe end - Int(stream.pointee.avail_in)
    if begin > first { isInside = true }
    switch result {
    case Z_STREAM_END:
      // Another member may follow.
      isInside = false
      unsafe inflateReset(stream)
    case Z_OK, Z_BUF_ERROR: break
    default: throw damaged(unsafe stream.pointee.msg.map { unsafe String(cString: $0) } ?? "error \(result) of zlib")
    }
    return unsafe memory.count - Int(stream.pointee.avail_out)
  }

  private func damaged(_ reason: String) -> RecordingFileError {
    RecordingFileError(
      path: path,
      reason: "what is compressed there is damaged, at byte \(passed + UInt64(begin)) of the file: \(reason)")
  }
}
