import ArgumentParser
import Foundation
import Sluice
import StreamModel
import StreamStore

struct Tables: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "What transactional handlers keep in the store: list tables, get entries.",
    subcommands: [List.self, Get.self], defaultSubcommand: List.self)

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the tables of a mapping.", discussion: "Example: sluice tables list delays")
    @Argument(help: "The mapping.") var mapping: String
    @OptionGroup var store: DataOptions

    func run() throws {
      let names = try Tables.open(mapping, store).names()
      if store.output.isJSON { return try printJSON(names) }
      print(names.isEmpty ? "no tables" : names.joined(separator: "\n"))
    }
  }

  struct Get: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show entries of a table.",
      discussion: """
        Keys and values that are not UTF-8 are shown in hexadecimal, in JSON as base64. Entries of a partition key are
        shown with the key's hash: it is not kept itself.

        Examples:
          sluice tables get delays totals
          sluice tables get delays totals --partition-key N14228
        """)
    @Argument(help: "The mapping.") var mapping: String
    @Argument(help: "The table.") var table: String
    @Option(help: "Only the entry with this key.") var key: String?
    @Option(help: "Only the entries of this partition key.") var partitionKey: String?
    @Option(help: "At most so many entries, 1 to 100000.") var limit = 100
    @OptionGroup var store: DataOptions

    func validate() throws {
      guard (1...100_000).contains(limit) else {
        throw ValidationError("--limit is \(limit): allowed are 1 to 100000.")
      }
    }

    func run() throws {
      let tables = try Tables.open(mapping, store)
      let found: [MappingTables.Entry]
      do {
        found = try entries(tables)
      } catch let error as TableError {
        throw Problem(Exit.badInput, "\(error)")
      }
      let lines = found.map(EntryLine.init)
      if store.output.isJSON {
        for line in lines { try printJSON(line) }
        if found.count == limit { Warning.write("these are the first \(limit) entries; there may be more: --limit") }
        return
      }
      guard !lines.isEmpty else { return print("no entries") }
      var text = TextTable(["of", "key", "value"])
      for line in lines { text.add([line.owner, line.key.text, line.value.text]) }
      print(text.text)
      if found.count == limit { print("there may be more: --limit") }
    }

    private func entries(_ tables: MappingTables) throws -> [MappingTables.Entry] {
      let wantedKey = key.map { Array($0.utf8) }
      var found: [MappingTables.Entry] = []
      var last: MappingTables.Entry?
      while found.count < limit {
        let page = try tables.entries(of: table, partitionKey: partitionKey, after: last, limit: 1_000)
        last = page.last
        for entry in page where found.count < limit {
          if let wantedKey, entry.key != wantedKey { continue }
          found.append(entry)
        }
        if page.isEmpty { break }
      }
      return found
    }
  }

  /// Looks beside a worker or without one: what is durable is the same for all.
  private static func open(_ mapping: String, _ options: DataOptions) throws -> MappingTables {
    let store = try Connection.open(options.dataDirectory, role: .looker)
    guard let tables = try MappingTables(of: mapping, in: store) else {
      throw Problem(Exit.badInput, "There is no mapping \(mapping).")
    }
    return tables
  }
}

/// An entry as it is printed.
private struct EntryLine: Encodable {
  var shard: String?
  var slot: UInt8?
  var partitionKeyHash: String?
  var key: PrintedBytes
  var value: PrintedBytes

  init(_ entry: MappingTables.Entry) {
    switch entry.owner {
    case .lane(let shard, let slot): (self.shard, self.slot) = ("\(shard)", slot)
    case .partitionKey(let hash): partitionKeyHash = "\(hash)"
    }
    key = PrintedBytes(bytes: entry.key)
    value = PrintedBytes(bytes: entry.value)
  }

  var owner: String {
    guard let shard else { return "partition key with hash \(partitionKeyHash ?? "")" }
    return slot == 0 ? shard : "\(shard) lane \(slot ?? 0)"
  }
}

/// Text if it is, otherwise the bytes.
private struct PrintedBytes: Encodable {
  var bytes: [UInt8]

  /// One line: what would begin another one is shown as bytes.
  var text: String {
    guard let text = String(validating: bytes, as: UTF8.self), !text.unicodeScalars.contains(where: { $0.value < 32 })
    else { return bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() }
    return text
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Name.self)
    if let text = String(validating: bytes, as: UTF8.self) {
      try container.encode(text, forKey: .text)
    } else {
      try container.encode(Data(bytes).base64EncodedString(), forKey: .base64)
    }
  }

  private enum Name: String, CodingKey { case text, base64 }
}
