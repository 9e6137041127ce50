# Sums the numbers of each window, and prints what each window came to.
import base64, json, sys

for line in sys.stdin:
    event = json.loads(line)
    state = event["state"]
    for record in event["Records"]:
        state["sum"] = state.get("sum", 0) + int(base64.b64decode(record["kinesis"]["data"]))
    if event["isFinalInvokeForWindow"]:
        print(event["window"]["start"], "sum", state.get("sum", 0), file=sys.stderr)
    print(json.dumps({"state": state}), flush=True)
