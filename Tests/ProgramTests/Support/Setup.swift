import StreamModel

/// The configuration of a workplace: one stream `numbers`, one handler `note`, one mapping `numbers-note`.
struct Setup {
  var shards = 1
  var kind = StreamKind.kinesis
  var recordLimit = "1MiB"
  var mapSize = "256MiB"
  var durability = "commit"
  var readyBlockedAfter = "5m"
  var readyFailureEntries = 0
  var readyFailureAge = "0s"
  var command = #"["python3", "handler.py"]"#
  var handlerProtocol = "lines"
  var timeout = "30s"
  /// More settings of the function.
  var function = ""
  var batchSize = 50
  /// `MaximumRetryAttempts`.
  var retries = -1
  var responseTypes = "[ReportBatchItemFailures]"
  /// `failures.keepFor`.
  var keepFailuresFor = "forever"
  /// More settings of the mapping, a line each.
  var rules: [String] = []

  init(_ change: (inout Setup) -> Void = { _ in }) { change(&self) }

  var yaml: String {
    """
    store: { mapSize: \(mapSize), durability: \(durability) }
    listen:
      readyBlockedAfter: \(readyBlockedAfter)
      readyFailureEntries: \(readyFailureEntries)
      readyFailureAge: \(readyFailureAge)
    failures: { keepFor: \(keepFailuresFor) }
    streams:
      - { name: numbers, kind: \(kind.rawValue), shards: \(shards), recordLimit: \(recordLimit) }
    functions:
      - { name: note, command: \(command), protocol: \(handlerProtocol), timeout: \(timeout), concurrency: 4\(function) }
    mappings:
      - stream: numbers
        function: note
        BatchSize: \(batchSize)
        MaximumRetryAttempts: \(retries)
        FunctionResponseTypes: \(responseTypes)

    """ + rules.map { "    \($0)\n" }.joined()
  }

  /// Notes every record before it answers: the life of its worker, the sequence numbers of the batch's first record and
  /// of this one, the data. What the data is about decides how it behaves. With an argument it takes up to so many
  /// milliseconds between its notes and its answer.
  static let handlerProgram = #"""
    import base64, json, os, random, resource, sys, time

    # A worker on a small disk hands its limit down; the notes are not part of that story.
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    notes = os.open("delivered", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    life = os.environ["LIFE"]
    pause = int(sys.argv[1]) / 1000 if len(sys.argv) > 1 else 0

    def behave(text, records):
        if text == "die": os._exit(7)
        if text == "die loudly":
            sys.stderr.write(("x" * 99 + "\n") * 100_000)
            raise ValueError("after ten megabytes")
        if text == "hang": time.sleep(600)
        if text == "garbage": return "<html>502</html>"
        if text == "unknown": return '{"batchItemFailures":[{"itemIdentifier":"42"}]}'
        if text == "raise": return '{"errorType":"E","errorMessage":"told to","stackTrace":["line 1"]}'
        if text == "twice": return "{}\n{}"
        if text == "chatter": sys.stderr.write(("x" * 99 + "\n") * 100_000)
        return None

    for line in sys.stdin:
        records = json.loads(line)["Records"]
        answer = None
        for record in records:
            data = base64.b64decode(record["kinesis"]["data"])
            answer = answer or behave(data.decode("latin-1"), records)
        if answer is None:
            kinesis = [record["kinesis"] for record in records]
            lines = "".join(
                "%s %s %s %s\n" % (life, kinesis[0]["sequenceNumber"], one["sequenceNumber"], one["data"] or "-")
                for one in kinesis)
            os.write(notes, lines.encode())
            time.sleep(random.random() * pause)
        print(answer or "{}", flush=True)

    """#
}
