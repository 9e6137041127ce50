internal import CZstd

/// Compresses records that wait in memory, with zstd at its fastest, and expands them again. For one task or thread at a time.
@safe
public final class RecordCompressor {
  private let compressing: OpaquePointer
  private let expanding: OpaquePointer
  private var buffer: UnsafeMutableRawBufferPointer

  private static let level: Int32 = 1

  public init() {
    guard let compressing = unsafe ZSTD_createCCtx(), let expanding = unsafe ZSTD_createDCtx() else {
      preconditionFailure("there is memory for a compressor")
    }
    unsafe self.compressing = compressing
    unsafe self.expanding = expanding
    unsafe buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  }

  deinit {
    unsafe ZSTD_freeCCtx(compressing)
    unsafe ZSTD_freeDCtx(expanding)
    unsafe buffer.deallocate()
  }

  /// Gives the compressed bytes, which are valid in `body`; not if that saves less than a quarter.
  func compress(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) {
    let bound = ZSTD_compressBound(bytes.count)
    if unsafe buffer.count < bound {
      unsafe buffer.deallocate()
      unsafe buffer = .allocate(byteCount: bound, alignment: 16)
    }
    let count = unsafe ZSTD_compressCCtx(
      compressing, buffer.baseAddress, buffer.count, bytes.baseAddress, bytes.count, Self.level)
    guard ZSTD_isError(count) == 0, count <= bytes.count / 4 * 3 else { return }
    unsafe body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
  }

  /// Fills the memory with what was compressed.
  func expand(_ bytes: UnsafeRawBufferPointer, into memory: UnsafeMutableRawBufferPointer) {
    let count = unsafe ZSTD_decompressDCtx(
      expanding, memory.baseAddress, memory.count, bytes.baseAddress, bytes.count)
    precondition(count == memory.count, "what was compressed in memory can be expanded")
  }
}
