import Foundation
import Sluice
import StreamStore

/// Finds who can carry out a command: the worker that has the store open, or the store itself.
enum Connection {
  /// For commands that only look: the worker knows what is in flight; without one, the store says what it knows.
  static func look(at directory: String) async throws -> any Operating {
    if let worker = try worker(of: directory) { return worker }
    return StoreOperator(store: try open(directory, role: .looker))
  }

  /// For commands that change something: the worker if one runs; without one, the store, opened to write. Only
  /// commands that put or create something make a store where there is none.
  static func act(on directory: String, creates: Bool = false) async throws -> any Writing {
    if let worker = try worker(of: directory) { return worker }
    if !creates { _ = try open(directory, role: .looker) }
    return StoreOperator(store: try open(directory, role: .writer))
  }

  /// Opens the store, with its errors in the words of the command line.
  static func open(_ directory: String, role: StreamStore.Role, options: StoreOptions = StoreOptions()) throws
    -> StreamStore
  {
    do {
      return try StreamStore.open(at: directory, options: options, role: role)
    } catch {
      throw Problem(OperatorRefusal(error))
    }
  }

  /// The worker that has the store open, if there is one.
  static func worker(of directory: String) throws -> RemoteWorker? {
    guard let holder = StreamStore.holder(at: directory) else { return nil }
    guard !holder.listenAddress.isEmpty else {
      throw Problem(
        Exit.tryAgain,
        "Process \(holder.processID) has the store at \(directory) open but does not listen. Wait for it to end, or "
          + "give its worker a listen address.")
    }
    return RemoteWorker(address: holder.listenAddress)
  }
}

extension Problem {
  /// The refusal in an answer that was none of those expected.
  init(_ answer: OperatorAnswer) {
    if case .refused(let refusal) = answer {
      self.init(refusal)
    } else {
      self.init(Exit.failed, "The worker answered something else than what it was asked. Is it of another version?")
    }
  }
}
