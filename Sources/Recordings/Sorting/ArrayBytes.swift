extension [UInt8] {
  /// Lends the bytes, and throws what `body` does.
  func lendBytes<Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    var failure: Failure?
    unsafe withUnsafeBytes { bytes in
      do throws(Failure) { unsafe try body(bytes) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// Lends the bytes to be changed, and throws what `body` does.
  mutating func lendMutableBytes<Failure: Error>(
    _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    var failure: Failure?
    unsafe withUnsafeMutableBytes { bytes in
      do throws(Failure) { unsafe try body(bytes) } catch { failure = error }
    }
    if let failure { throw failure }
  }
}
