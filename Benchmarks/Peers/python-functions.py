#!/usr/bin/env python3
"""Python functions: awslambdaric served by Sluice beside awslambdaric served by the least that can be a Runtime API.

Usage: Benchmarks/Peers/python-functions.py [SLUICE] [--pairs N] [--seconds S]

Both serve the same event to the same handler in one environment, in turns. Each turn gives a ratio of its own, so that a
machine that is faster or slower from one minute to the next does not count; the median of them is told with its quartiles.
"""
import argparse, base64, json, os, statistics, subprocess, tempfile

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
options = argparse.ArgumentParser()
options.add_argument("sluice", nargs="?", default=root + "/.build/release/sluice")
options.add_argument("--pairs", type=int, default=15)
options.add_argument("--seconds", type=float, default=1)
options = options.parse_args()
python = os.environ.get("PYTHON", root + "/.build/python-functions/bin/python3")


def event(count, size):
    """As `sluice bench invoke` has it, to the byte but for the numbers."""
    number = "49671234567890123456789012345678901234567890123456789012"
    return {"Records": [{
        "kinesis": {
            "kinesisSchemaVersion": "1.0", "partitionKey": f"key-{place}", "sequenceNumber": number,
            "data": base64.b64encode(b"a" * size).decode(), "approximateArrivalTimestamp": 1789651658.123},
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": f"shardId-000000000000:{number}",
        "eventName": "aws:kinesis:record", "invokeIdentityArn": "arn:aws:iam::000000000000:role/sluice",
        "awsRegion": "us-east-1", "eventSourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/bench",
    } for place in range(count)]}


with tempfile.TemporaryDirectory() as folder:
    stub = folder + "/runtime-stub"
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", stub, root + "/Benchmarks/Peers/runtime-stub.c"], check=True)
    with open(folder + "/app.py", "w") as file:
        file.write("def handler(event, context): return {'batchItemFailures': []}\n")
    command = [python, "-m", "awslambdaric", "app.handler"]
    for count in [1, 100]:
        with open(folder + "/event.json", "w") as file:
            json.dump(event(count, 256), file, separators=(",", ":"))
        rates = {"stub": [], "sluice": []}
        for _ in range(options.pairs):
            out = subprocess.run(
                [stub, folder + "/event.json", str(options.seconds)] + command, cwd=folder, check=True,
                capture_output=True, text=True).stdout
            rates["stub"].append(float(out))
            out = subprocess.run(
                [options.sluice, "bench", "invoke", "--callers", "1", "--batch-size", str(count), "--runs", "1",
                 "--record-bytes", "256", "--seconds", str(options.seconds), "--format", "json", "--command"] + command,
                cwd=folder, check=True, capture_output=True, text=True).stdout
            rates["sluice"].append(float(json.loads(out)["batchesPerSecond"]))
        median = {name: statistics.median(found) for name, found in rates.items()}
        low, middle, high = statistics.quantiles(
            [sluice / stub for sluice, stub in zip(rates["sluice"], rates["stub"])], n=4, method="inclusive")
        print(
            f"{count:4} records of 256 B: {median['sluice']:8.0f} invocations/s, {median['stub']:8.0f} against the stub, "
            f"{middle:.2f} of it in the middle turn ({low:.2f} to {high:.2f} in half of them)", flush=True)
