"""Sluice through its own load tests. Each makes a warm-up run of its own before the one that counts."""
import json
import subprocess

import work


class Sluice:
    def __init__(self, program, directory):
        self.program, self.directory = program, directory

    def bench(self, *arguments):
        command = [self.program, "bench", *map(str, arguments), "--runs", "1", "--format", "json"]
        if self.directory:
            command += ["--directory", self.directory]
        ended = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        return json.loads(ended.stdout)

    def put(self, seconds):
        return self.bench(
            "put", "--producers", work.PRODUCERS, "--records-per-put", work.RECORDS_PER_PUT, "--shards", work.SHARDS,
            "--record-bytes", work.RECORD_BYTES, "--seconds", seconds)["recordsPerSecond"]

    def drain(self, records):
        return self.bench(
            "drain", "--records", records, "--batch-size", work.BATCH_SIZE, "--shards", work.SHARDS,
            "--record-bytes", work.RECORD_BYTES)["recordsPerSecond"]

    def latency(self, records):
        report = self.bench("latency", "--records", records, "--shards", work.SHARDS,
                            "--record-bytes", work.RECORD_BYTES)
        return report["p50Milliseconds"], report["p99Milliseconds"]
