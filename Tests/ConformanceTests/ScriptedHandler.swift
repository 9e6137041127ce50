import Foundation
import LambdaRuntime
import Locks
import Logging
import StreamModel

/// Handlers in other processes that misbehave as they are told, and note what they are called with.
final class ScriptedHandler: Sendable {
  private let pools: [String: LineProcessPool]
  private let children: [String: LineProcessHandler]
  private let folder: URL
  private let state = Mutex(State())
  private let shown: Set<Example.Shown>

  private struct State {
    var misbehaviour = Misbehaviour(verb: .succeed)
    /// In the order in which they were seen first.
    var requestIDs: [String] = []
    /// So often it was not called.
    var refused = 0
    var notes: [String] = []
    var invocations = 0
    var hanging = 0

    mutating func letter(of origin: BatchOrigin) -> String {
      let place = requestIDs.firstIndex(of: origin.requestID) ?? requestIDs.endIndex
      if place == requestIDs.endIndex { requestIDs.append(origin.requestID) }
      return String(UnicodeScalar(UInt8(65 + place)))
    }
  }

  /// The program: what it is to do lies in a file beside it, so that it outlives its process.
  private static let program = """
    import base64, json, os, sys, time

    for line in sys.stdin:
        whole = json.loads(line)
        event = whole["Records"]
        if not event:
            texts = ["final"]
        elif event[0]["eventSource"] == "aws:dynamodb":
            records = [{"sequenceNumber": record["dynamodb"]["SequenceNumber"]} for record in event]
            texts = [record["dynamodb"]["NewImage"]["text"]["S"].split("/")[-1] for record in event]
        else:
            records = [record["kinesis"] for record in event]
            texts = [base64.b64decode(record["data"]).rstrip(b"\\0").decode().split("/")[-1] for record in records]
        script = json.load(open("script.json"))
        hit = script["times"] > 0 and any(word in texts for word in script["words"])
        if hit:
            script["times"] -= 1
            with open("script.new", "w") as file: json.dump(script, file)
            os.rename("script.new", "script.json")
        verb = script["verb"] if hit else "succeed"
        if verb == "exit": sys.exit(3)
        if verb == "hang": time.sleep(3600)
        answer = ""
        if verb == "answer": answer = script["answer"].replace("none", "")
        if verb == "raise": answer = json.dumps({"errorType": "E", "errorMessage": "told to"})
        if verb == "report":
            numbers = [records[texts.index(word)]["sequenceNumber"] for word in script["words"] if word in texts]
            answer = json.dumps({"batchItemFailures": [{"itemIdentifier": number} for number in numbers]})
        if "window" in whole and verb in ("succeed", "report", "grow"):
            state = whole["state"]
            done = min([texts.index(word) for word in script["words"] if word in texts]) if verb == "report" else len(event)
            state["seen"] = state.get("seen", []) + texts[:done]
            if verb == "grow": state["large"] = "x" * 1048640
            answer = json.dumps({"state": state} | (json.loads(answer) if answer else {}))
        print(answer, flush=True)

    """

  /// A function of each name.
  init(
    _ functions: [String], in folder: URL, concurrency: Int, reportsItemFailures: Bool, namesEveryFailure: Bool = false,
    shows shown: Set<Example.Shown> = []
  ) throws {
    self.folder = folder
    self.shown = shown
    try Self.program.write(to: folder.appending(path: "handler.py"), atomically: true, encoding: .utf8)
    pools = Dictionary(
      uniqueKeysWithValues: functions.map { name in
        let command = HandlerCommand(["python3", "handler.py", name], directory: folder.path)
        let logger = Logger(label: name) { _ in SwiftLogNoOpLogHandler() }
        return (name, LineProcessPool(command, concurrency: concurrency, logger: logger))
      })
    children = pools.mapValues {
      LineProcessHandler(pool: $0, reportsItemFailures: reportsItemFailures, namesEveryFailure: namesEveryFailure)
    }
    try tell(Misbehaviour(verb: .succeed))
  }

  /// What a mapping of this function delivers to.
  func function(_ name: String) throws -> Function {
    guard let child = children[name] else { throw UnreadableExample(description: "no function \(name)") }
    return Function(name: name, child: child, scripted: self)
  }

  func tell(_ misbehaviour: Misbehaviour) throws {
    try JSONEncoder().encode(misbehaviour).write(to: folder.appending(path: "script.json"), options: .atomic)
    state.withLock { state in
      state.misbehaviour = misbehaviour
      state.refused = 0
    }
  }

  var invocations: Int { state.withLock { $0.invocations } }

  /// Whether the process does not answer and will not.
  var isHanging: Bool { state.withLock { $0.hanging > 0 } }

  /// Adds a line to what happened.
  func note(_ line: String) { state.withLock { $0.notes.append(line) } }

  /// What happened since this was last asked.
  func takeNotes() -> [String] {
    state.withLock { state in
      defer { state.notes = [] }
      return state.notes
    }
  }

  fileprivate func meet<Outcome>(
    _ texts: [String], _ what: String, _ origin: BatchOrigin, by function: String,
    _ handle: () async throws -> Outcome
  ) async throws -> Outcome {
    let (verb, hangs) = state.withLock { state in
      let told = state.misbehaviour
      let isMeant = texts.contains { told.words.contains($0.word) }
      let isRefused = told.verb.isWithoutProcess && isMeant && state.refused < told.times
      if isRefused { state.refused += 1 }
      state.invocations += 1
      let again = origin.redelivery.map { " (\($0.count) again: \($0.cause.name))" } ?? ""
      let refusal = isRefused ? " (\(told.verb == .throttle ? "throttled" : "unavailable"))" : ""
      let id = shown.contains(.ids) ? ", id \(state.letter(of: origin))" : ""
      let caller = shown.contains(.functions) ? ", function \(function)" : ""
      state.notes.append("\(origin.attempt) \(what)\(id)\(caller)\(again)\(refusal)")
      let hangs = told.verb == .hang && isMeant
      if hangs { state.hanging += 1 }
      return (isRefused ? told.verb : nil, hangs)
    }
    defer { if hangs { state.withLock { $0.hanging -= 1 } } }
    switch verb {
    case .throttle: throw HandlerFailure(kind: .throttled, type: "TooManyRequestsException", message: "told to")
    case .unavailable: throw HandlerFailure(kind: .unavailable, type: "ServiceException", message: "told to")
    default: return try await handle()
    }
  }

  func end() async {
    for pool in pools.values { await pool.shutdown() }
  }
}

/// One function of a ``ScriptedHandler``.
struct Function: BatchHandler, WindowedBatchHandler {
  let name: String
  fileprivate let child: LineProcessHandler
  fileprivate let scripted: ScriptedHandler

  /// So that each batch says which id it has.
  let usesRequestIDs = true

  func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
    let texts = batch.texts
    return try await scripted.meet(texts, "\(texts.joined(separator: " "))", batch.origin, by: name) {
      try await child.handle(batch)
    }
  }

  /// Of an invocation of a tumbling window the records that its state has seen are noted too.
  func handle(_ batch: WindowedBatch) async throws -> WindowedOutcome {
    let texts = batch.records?.texts ?? ["final"]
    let end = batch.isTerminatedEarly ? ", early" : ""
    let what = "\(texts.joined(separator: " "))\(end), \(batch.state.seen)"
    return try await scripted.meet(texts, what, batch.origin, by: name) { try await child.handle(batch) }
  }
}

extension RecordBatch {
  /// What each record holds; a large one is filled up with zeros.
  var texts: [String] {
    (0..<count).map { position in
      let text = String(decoding: self[position].dataBytes.prefix { $0 != 0 }, as: UTF8.self)
      guard let attribute = text.firstRange(of: #""text":{"S":""#) else { return text }
      return String(text[attribute.upperBound...].prefix { $0 != "\"" })
    }
  }
}

extension WindowState {
  /// What the invocations that handed it on were given.
  fileprivate var seen: String {
    struct Seen: Decodable {
      var seen: [String]?
    }
    guard !bytes.isEmpty else { return "state {}" }
    let words = try? JSONDecoder().decode(Seen.self, from: Data(bytes)).seen
    return "state \(words?.joined(separator: " ") ?? "{}")"
  }
}

extension String {
  /// A record's text without its key.
  var word: String { split(separator: "/").last.map(String.init) ?? self }
}
