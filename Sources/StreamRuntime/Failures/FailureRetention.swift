public import StreamModel
public import StreamStore

/// How long the failure entries of a mapping are kept.
public enum FailureRetention: Hashable, Sendable {
  /// As the store says for all mappings: ``Catalog/failureRetentionMilliseconds``.
  case ofStore
  /// Until somebody deletes them, whatever the store says.
  case forever
  /// So many milliseconds from their making, 1 or more, whatever the store says.
  case milliseconds(Int64)
}

/// How long the failure entries of each mapping are kept, also of mappings that are not there any more.
public struct FailureRetentions: Sendable {
  /// In milliseconds; `nil`: until somebody deletes them.
  public let standard: Int64?
  /// Of mappings that say something else.
  private let own: [MappingNumber: FailureRetention]

  public init(_ catalog: Catalog) {
    standard = catalog.failureRetentionMilliseconds
    own = catalog.mappings.compactMapValues { mapping in
      MappingSettings(decoding: mapping.settings).flatMap {
        $0.failureRetention == .ofStore ? nil : $0.failureRetention
      }
    }
  }

  /// Whether any entry can expire.
  public var areSet: Bool { standard != nil || own.keys.contains { milliseconds(of: $0) != nil } }

  /// In milliseconds; `nil`: until somebody deletes them.
  public func milliseconds(of mapping: MappingNumber) -> Int64? {
    switch own[mapping] ?? .ofStore {
    case .ofStore: standard
    case .forever: nil
    case .milliseconds(let milliseconds): milliseconds
    }
  }

  /// Whether the mapping says how long, and not the store.
  public func isOwn(_ mapping: MappingNumber) -> Bool { own[mapping] != nil }

  /// When an entry that was made at `createdAt` expires; `nil`: never.
  public func expiry(of mapping: MappingNumber, madeAt createdAt: WallTime) -> WallTime? {
    milliseconds(of: mapping).map { createdAt.adding(milliseconds: $0) }
  }
}
