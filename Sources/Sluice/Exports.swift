// Who imports Sluice can name what its interface is made of: records and batches, tables, the store. These rooms are no
// products of the package, so a program has no other way to say `TableOwner` or `StoreOptions`. Underscored, as Swift has
// no other word for it yet.
@_exported public import struct ShardCore.Backoff
@_exported public import StreamModel
@_exported public import StreamRuntime
@_exported public import StreamStore
