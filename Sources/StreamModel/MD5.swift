/// MD5 of short keys (RFC 1321), by hand because routing hashes every record put: it works on bytes where they lie and
/// allocates nothing, and this room does without Foundation.
enum MD5 {
  /// The digest as a big-endian number, which is how Kinesis reads it.
  static func digest(of bytes: UnsafeRawBufferPointer) -> UInt128 {
    var state = State()
    var offset = 0
    while bytes.count - offset >= 64 {
      unsafe state.mix(UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + 64)]))
      offset += 64
    }
    // The tail, a 1 bit, zeros and the length in bits fill one last block or two.
    unsafe withUnsafeTemporaryAllocation(byteCount: 128, alignment: 8) { tail in
      let rest = bytes.count - offset
      let tailCount = rest < 56 ? 64 : 128
      unsafe tail.initializeMemory(as: UInt8.self, repeating: 0)
      if rest > 0 {
        unsafe UnsafeMutableRawBufferPointer(rebasing: tail[0..<rest])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset...]))
      }
      unsafe tail[rest] = 0x80
      unsafe tail.storeBytes(of: (UInt64(bytes.count) &* 8).littleEndian, toByteOffset: tailCount - 8, as: UInt64.self)
      unsafe state.mix(UnsafeRawBufferPointer(rebasing: tail[0..<64]))
      if tailCount == 128 { unsafe state.mix(UnsafeRawBufferPointer(rebasing: tail[64..<128])) }
    }
    return state.bigEndianNumber
  }

  private struct State {
    var a: UInt32 = 0x6745_2301
    var b: UInt32 = 0xefcd_ab89
    var c: UInt32 = 0x98ba_dcfe
    var d: UInt32 = 0x1032_5476

    var bigEndianNumber: UInt128 {
      UInt128(a.byteSwapped) << 96 | UInt128(b.byteSwapped) << 64 | UInt128(c.byteSwapped) << 32
        | UInt128(d.byteSwapped)
    }

    mutating func mix(_ block: UnsafeRawBufferPointer) {
      var (a, b, c, d) = (self.a, self.b, self.c, self.d)
      for step in 0..<64 {
        let mixed: UInt32
        let word: Int
        switch step >> 4 {
        case 0: (mixed, word) = ((b & c) | (~b & d), step)
        case 1: (mixed, word) = ((d & b) | (~d & c), (5 &* step &+ 1) & 15)
        case 2: (mixed, word) = (b ^ c ^ d, (3 &* step &+ 5) & 15)
        default: (mixed, word) = (c ^ (b | ~d), (7 &* step) & 15)
        }
        let message = unsafe UInt32(littleEndian: block.loadUnaligned(fromByteOffset: word &* 4, as: UInt32.self))
        let sum = a &+ mixed &+ MD5.sines[step] &+ message
        let shift = MD5.shifts[(step >> 4) &* 4 &+ (step & 3)]
        (a, d, c, b) = (d, c, b, b &+ (sum << shift | sum >> (32 &- shift)))
      }
      self.a &+= a
      self.b &+= b
      self.c &+= c
      self.d &+= d
    }
  }

  private static let shifts: InlineArray<16, UInt32> = [
    7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21,
  ]

  private static let sines: InlineArray<64, UInt32> = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
  ]
}
