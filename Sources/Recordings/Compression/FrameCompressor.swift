internal import CZstd

/// Makes a frame of zstd of each piece of bytes: what was written before an interruption is whole frames, and can be read.
@safe
final class FrameCompressor {
  private let context: OpaquePointer
  private var buffer: UnsafeMutableRawBufferPointer

  /// The level of libzstd's own program.
  private static let level: Int32 = 3
  /// Larger pieces become several frames.
  private static let pieceByteLimit = 4 << 20

  init() {
    guard let context = unsafe ZSTD_createCCtx() else { preconditionFailure("there is memory for a compressor") }
    unsafe self.context = context
    unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Self.level)
    // So that a damaged frame is noticed as one.
    unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    unsafe buffer = .allocate(byteCount: ZSTD_compressBound(Self.pieceByteLimit), alignment: 16)
  }

  deinit {
    unsafe ZSTD_freeCCtx(context)
    unsafe buffer.deallocate()
  }

  /// Gives the frames of the bytes to `write`.
  func compress<Failure: Error>(
    _ bytes: UnsafeRawBufferPointer, _ write: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    var position = 0
    while position < bytes.count {
      let piece = unsafe UnsafeRawBufferPointer(
        rebasing: bytes[position..<min(bytes.count, position + Self.pieceByteLimit)])
      let count = unsafe ZSTD_compress2(context, buffer.baseAddress, buffer.count, piece.baseAddress, piece.count)
      precondition(ZSTD_isError(count) == 0, "a frame fits into the memory that libzstd asks for")
      unsafe try write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      position += piece.count
    }
  }
}
