import StreamModel
import StreamStore

/// The durable entries of one mapping's tables.
struct StoreTables: TableReading {
  let store: StreamStore
  let mapping: MappingNumber

  func value(of key: TableEntryKey) throws(TableError) -> [UInt8]? {
    do {
      return try store.tableValue(of: key, mapping)
    } catch {
      throw .unavailable("\(error)")
    }
  }

  func forEach(from key: TableEntryKey, _ body: (TableEntryKey, [UInt8]) -> Bool) throws(TableError) {
    do {
      try store.forEachTableEntry(of: mapping, from: key.bytes, body)
    } catch {
      throw .unavailable("\(error)")
    }
  }
}
