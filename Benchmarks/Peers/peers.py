#!/usr/bin/env python3
"""Runs Sluice and its peers on the same work, in turns, and prints how they compare. See README.md."""
import argparse
import json
import os
import sys

import redis_peer
import sqlite_peer
import work
from sluice_peer import Sluice
from work import Measured

PUT = f"put, {work.PRODUCERS} × {work.RECORDS_PER_PUT}, durable"
DRAIN = f"drain by {work.BATCH_SIZE} with checkpoints"
LATENCY = "put to handler, one a millisecond, durable"


def arguments():
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sluice", default=os.path.join(root, ".build", "release", "sluice"), help="the program")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds; one more goes before them to warm up")
    parser.add_argument("--seconds", type=float, default=3, help="of each run of put")
    parser.add_argument("--drain-records", type=int, default=2_000_000)
    parser.add_argument("--latency-records", type=int, default=3_000)
    parser.add_argument("--directory", help="where the stores are; default: the temporary folder")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    return parser.parse_args()


def measure(options):
    """All measurements, those of Sluice first in each work."""
    sluice = Sluice(options.sluice, options.directory)
    backlogs = []
    try:
        redis = redis_peer.Backlog(options.drain_records, options.directory)
        backlogs.append(redis)
        sqlite = sqlite_peer.Backlog(options.drain_records, options.directory)
        backlogs.append(sqlite)
        rate = "records/s"
        put, where = options.seconds, options.directory
        steps = [
            (Measured(PUT, "Sluice", "durability commit", rate), lambda: sluice.put(put)),
            (Measured(PUT, "Redis", "appendfsync always, pipelines", rate),
             lambda: redis_peer.put(put, False, where)),
            (Measured(PUT, "Redis", "appendfsync always, MULTI", rate), lambda: redis_peer.put(put, True, where)),
            (Measured(PUT, "SQLite", "WAL, synchronous=FULL", rate), lambda: sqlite_peer.put(put, where)),
            (Measured(DRAIN, "Sluice", "durability commit", rate), lambda: sluice.drain(options.drain_records)),
            (Measured(DRAIN, "Redis", "XREADGROUP and XACK, everysec", rate), redis.drain),
            (Measured(DRAIN, "SQLite", "a synced checkpoint for each batch", rate), sqlite.drain),
        ]
        p50, p99 = (LATENCY + part for part in [", p50", ", p99"])
        pairs = [
            (Measured(p50, "Sluice", "durability commit", "ms", False),
             Measured(p99, "Sluice", "durability commit", "ms", False),
             lambda: sluice.latency(options.latency_records)),
            (Measured(p50, "Redis", "appendfsync always, BLOCK", "ms", False),
             Measured(p99, "Redis", "appendfsync always, BLOCK", "ms", False),
             lambda: redis_peer.latency(options.latency_records, where)),
        ]
        for current in range(options.rounds + 1):
            for measured, run in steps:
                value = run()
                if current > 0:
                    measured.values.append(value)
            for median, tail, run in pairs:
                values = run()
                if current > 0:
                    median.values.append(values[0])
                    tail.values.append(values[1])
            print(f"round {current} of {options.rounds}", file=sys.stderr)
    finally:
        for backlog in backlogs:
            backlog.close()
    return [step[0] for step in steps] + [pair[0] for pair in pairs] + [pair[1] for pair in pairs]


def compared(measurements):
    """The summary of each, beside Sluice's at the same work."""
    sluice = {one.work: one for one in measurements if one.system == "Sluice"}
    return [one.summary(sluice[one.work]) for one in measurements]


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def table(lines):
    rows = [("work", "system", "setting", "median", "least – greatest", "Sluice is better")]
    for line in lines:
        better = line["sluiceIsBetterBy"]
        rows.append((
            line["work"], line["system"], line["setting"], f"{number(line['median'])} {line['unit']}",
            f"{number(line['least'])} – {number(line['greatest'])}", "" if better is None else f"{better:.1f} ×"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def main():
    options = arguments()
    if not os.access(options.sluice, os.X_OK):
        sys.exit(f"{options.sluice} is not there: run make release, or name the program with --sluice")
    lines = compared(measure(options))
    if options.format == "json":
        for line in lines:
            print(json.dumps(line, ensure_ascii=False))
    else:
        print(table(lines))


if __name__ == "__main__":
    main()
