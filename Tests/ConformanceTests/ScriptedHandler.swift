import Foundation
import LambdaRuntime
import Locks
import Logging
import StreamModel

/// A handler in another process that misbehaves as it is told, and notes what it is called with.
final class ScriptedHandler: BatchHandler {
  private let child: LineProcessHandler
  private let pool: LineProcessPool
  private let folder: URL
  private let state = Mutex(State())

  private struct State {
    var misbehaviour = Misbehaviour(verb: .succeed)
    var throttled = 0
    var notes: [String] = []
    var invocations = 0
    var hanging = 0
  }

  /// The program: what it is to do lies in a file beside it, so that it outlives its process.
  private static let program = """
    import base64, json, os, sys, time

    for line in sys.stdin:
        event = json.loads(line)["Records"]
        if event[0]["eventSource"] == "aws:dynamodb":
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
        print(answer, flush=True)

    """

  init(in folder: URL, concurrency: Int, reportsItemFailures: Bool, namesEveryFailure: Bool = false) throws {
    self.folder = folder
    try Self.program.write(to: folder.appending(path: "handler.py"), atomically: true, encoding: .utf8)
    pool = LineProcessPool(
      HandlerCommand(["python3", "handler.py"], directory: folder.path), concurrency: concurrency,
      logger: Logger(label: "handler") { _ in SwiftLogNoOpLogHandler() })
    child = LineProcessHandler(
      pool: pool, reportsItemFailures: reportsItemFailures, namesEveryFailure: namesEveryFailure)
    try tell(Misbehaviour(verb: .succeed))
  }

  func tell(_ misbehaviour: Misbehaviour) throws {
    try JSONEncoder().encode(misbehaviour).write(to: folder.appending(path: "script.json"), options: .atomic)
    state.withLock { state in
      state.misbehaviour = misbehaviour
      state.throttled = 0
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

  func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
    let texts = batch.texts
    let (isThrottled, hangs) = state.withLock { state in
      let told = state.misbehaviour
      let isMeant = texts.contains { told.words.contains($0.word) }
      let isThrottled = told.verb == .throttle && isMeant && state.throttled < told.times
      if isThrottled { state.throttled += 1 }
      state.invocations += 1
      let again = batch.origin.redelivery.map { " (\($0.count) again: \($0.cause.name))" } ?? ""
      state.notes.append(
        "\(batch.origin.attempt) \(texts.joined(separator: " "))\(again)\(isThrottled ? " (throttled)" : "")")
      let hangs = told.verb == .hang && isMeant
      if hangs { state.hanging += 1 }
      return (isThrottled, hangs)
    }
    defer { if hangs { state.withLock { $0.hanging -= 1 } } }
    if isThrottled { throw HandlerFailure(kind: .throttled, type: "TooManyRequestsException", message: "told to") }
    return try await child.handle(batch)
  }

  func end() async { await pool.shutdown() }
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

extension String {
  /// A record's text without its key.
  var word: String { split(separator: "/").last.map(String.init) ?? self }
}
