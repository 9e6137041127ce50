import CZlib
import Foundation

/// What is wrong with a function's archive, in one sentence.
public struct CodeProblem: Error, Hashable, Sendable, CustomStringConvertible {
  public var description: String

  init(_ archive: String, _ reason: String) { description = "\(archive): \(reason)" }
}

/// Reads a zip archive as deployment packages are: members stored or deflated, with Unix permissions and links. Not
/// read: encryption, other methods, several disks, sizes beyond 4 GiB.
struct ZipArchive {
  /// One file, folder or link.
  struct Member: Hashable {
    /// Relative, with slashes; every part is a name.
    var path: [String]
    var kind: Kind
    /// The permissions, such as 0o755.
    var mode: UInt16
    var byteCount: Int
    fileprivate var packed: Range<Int>
    fileprivate var isDeflated: Bool
    fileprivate var checksum: UInt32

    enum Kind { case file, folder, link }
    var name: String { path.joined(separator: "/") }
  }

  /// The unpacked bytes of a deployment package at most, as on Lambda.
  static let byteLimit = 262_144_000

  let members: [Member]
  private let bytes: [UInt8]
  private let source: String

  /// `source` names the archive in errors.
  init(_ bytes: [UInt8], source: String) throws(CodeProblem) {
    self.bytes = bytes
    self.source = source
    guard let end = Self.end(of: bytes) else { throw CodeProblem(source, "is not a zip archive") }
    let (count, offset) = (Self.number16(bytes, end + 10), Self.number32(bytes, end + 16))
    guard count < 0xffff, offset < 0xffff_ffff else {
      throw CodeProblem(source, "is in the format zip64, which is not read")
    }
    var members: [Member] = []
    var place = offset
    var total = 0
    for _ in 0..<count {
      guard place + 46 <= end, Self.number32(bytes, place) == 0x0201_4b50 else {
        throw CodeProblem(source, "is damaged: its directory breaks off")
      }
      let lengths = (28...32).filter { $0 % 2 == 0 }.map { Self.number16(bytes, place + $0) }
      let next = place + 46 + lengths.reduce(0, +)
      guard next <= end else { throw CodeProblem(source, "is damaged: its directory breaks off") }
      let name = String(decoding: bytes[(place + 46)..<(place + 46 + lengths[0])], as: UTF8.self)
      let member = try Self.member(named: name, at: place, bytes, source)
      total += member.byteCount
      guard total <= Self.byteLimit else {
        throw CodeProblem(source, "unpacked it is larger than \(Self.byteLimit) bytes, the limit of Lambda")
      }
      members.append(member)
      place = next
    }
    self.members = members
  }

  private static func member(
    named name: String, at place: Int, _ bytes: [UInt8], _ source: String
  ) throws(CodeProblem) -> Member {
    let problem = { (reason: String) in CodeProblem(source, "\(name): \(reason)") }
    let parts = name.split(separator: "/", omittingEmptySubsequences: true).map(String.init).filter { $0 != "." }
    guard !name.hasPrefix("/"), !parts.contains(".."), !name.contains("\0") else {
      throw problem("leads out of the folder that it is unpacked in")
    }
    guard number16(bytes, place + 8) & 1 == 0 else { throw problem("is encrypted") }
    let method = number16(bytes, place + 10)
    guard method == 0 || method == 8 else { throw problem("is packed with method \(method); only deflate is read") }
    let (packedCount, byteCount) = (number32(bytes, place + 20), number32(bytes, place + 24))
    let local = number32(bytes, place + 42)
    guard local + 30 <= bytes.count, number32(bytes, local) == 0x0403_4b50 else {
      throw problem("is not where it should be")
    }
    let start = local + 30 + number16(bytes, local + 26) + number16(bytes, local + 28)
    guard start + packedCount <= bytes.count, method == 8 || packedCount == byteCount else {
      throw problem("is cut off")
    }
    // Only archives made on Unix have a mode.
    let mode = bytes[place + 5] == 3 ? UInt16(truncatingIfNeeded: number32(bytes, place + 38) >> 16) : 0
    let kind: Member.Kind =
      name.hasSuffix("/") || mode & 0o170000 == 0o040000 ? .folder : mode & 0o170000 == 0o120000 ? .link : .file
    return Member(
      path: parts, kind: kind, mode: mode & 0o777, byteCount: byteCount, packed: start..<(start + packedCount),
      isDeflated: method == 8, checksum: UInt32(truncatingIfNeeded: number32(bytes, place + 16)))
  }

  /// The bytes of a member, checked.
  func contents(of member: Member) throws(CodeProblem) -> [UInt8] {
    let packed = bytes[member.packed]
    let contents: [UInt8]
    if member.isDeflated {
      var unpacked = [UInt8](repeating: 0, count: member.byteCount)
      let isWhole = unsafe packed.withUnsafeBytes { from in
        unsafe unpacked.withUnsafeMutableBytes { to in
          // An empty buffer may have no address, which zlib does not take.
          var none: UInt8 = 0
          return unsafe withUnsafeMutableBytes(of: &none) { room in
            unsafe sluice_inflate(
              from.baseAddress, UInt32(from.count), to.baseAddress ?? room.baseAddress, UInt32(to.count)) == 0
          }
        }
      }
      guard isWhole else { throw CodeProblem(source, "\(member.name): is damaged") }
      contents = unpacked
    } else {
      contents = Array(packed)
    }
    let checksum = unsafe contents.withUnsafeBytes { unsafe sluice_crc32($0.baseAddress, UInt32($0.count)) }
    // zlib takes no address for the start of a checksum; of nothing it is 0.
    guard contents.isEmpty ? member.checksum == 0 : checksum == member.checksum else {
      throw CodeProblem(source, "\(member.name): its checksum is wrong")
    }
    return contents
  }

  /// Where the record at the end is. A comment may stand behind it.
  private static func end(of bytes: [UInt8]) -> Int? {
    guard bytes.count >= 22 else { return nil }
    for place in stride(from: bytes.count - 22, through: max(0, bytes.count - 22 - 65_535), by: -1)
    where bytes[place] == 0x50 && number32(bytes, place) == 0x0605_4b50 {
      return place
    }
    return nil
  }

  private static func number16(_ bytes: [UInt8], _ place: Int) -> Int { Int(bytes[place]) | Int(bytes[place + 1]) << 8 }

  private static func number32(_ bytes: [UInt8], _ place: Int) -> Int {
    number16(bytes, place) | number16(bytes, place + 2) << 16
  }
}
