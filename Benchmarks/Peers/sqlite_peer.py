"""SQLite in this process: one table, write-ahead log, every commit synced (`synchronous=FULL`)."""
import os
import shutil
import sqlite3
import tempfile
import threading
import time

import work


class Folder:
    def __init__(self, directory):
        self.path = tempfile.mkdtemp(prefix="sluice-peers-sqlite-", dir=directory)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path)

    def connect(self):
        connection = sqlite3.connect(
            os.path.join(self.path, "records.db"), isolation_level=None, check_same_thread=False)
        for setting in ["journal_mode=WAL", "synchronous=FULL", "cache_size=-65536"]:
            connection.execute(f"PRAGMA {setting}").fetchall()
        connection.execute(
            "CREATE TABLE IF NOT EXISTS records"
            " (shard INTEGER, position INTEGER, key TEXT, data BLOB, PRIMARY KEY (shard, position)) WITHOUT ROWID")
        connection.execute("CREATE TABLE IF NOT EXISTS checkpoints (shard INTEGER PRIMARY KEY, position INTEGER)")
        return connection


def put(seconds, directory):
    """Durable records a second of all producers; each put is one transaction.

    The producers take turns with a lock: SQLite's own waiting for a busy database sleeps, and would be slower.
    """
    with Folder(directory) as folder:
        connection = folder.connect()
        turn = threading.Lock()
        positions = [0] * work.SHARDS
        totals = [0] * work.PRODUCERS
        start = threading.Barrier(work.PRODUCERS + 1)

        def produce(producer):
            keyed = [(work.shard(key), key) for key in work.keys(producer)]
            offset = 0
            start.wait()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                with turn:
                    rows = []
                    for number in range(work.RECORDS_PER_PUT):
                        shard, key = keyed[(offset + number) & 1_023]
                        rows.append((shard, positions[shard], key, work.DATA))
                        positions[shard] += 1
                    connection.execute("BEGIN IMMEDIATE")
                    connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", rows)
                    connection.execute("COMMIT")
                offset += work.RECORDS_PER_PUT
                totals[producer] = offset

        producers = [threading.Thread(target=produce, args=(number,)) for number in range(work.PRODUCERS)]
        for producer in producers:
            producer.start()
        start.wait()
        begun = time.monotonic()
        for producer in producers:
            producer.join()
        elapsed = time.monotonic() - begun
        stored = connection.execute("SELECT count(*) FROM records").fetchone()[0]
        connection.close()
        if stored != sum(totals):
            raise RuntimeError(f"SQLite has {stored} of {sum(totals)} records")
        return stored / elapsed


class Backlog:
    """A database with records, to be drained again and again."""

    def __init__(self, records, directory):
        self.folder = Folder(directory)
        self.records = records
        self.connection = self.folder.connect()
        for first in range(0, records, 20_000):
            self.connection.execute("BEGIN")
            self.connection.executemany(
                "INSERT INTO records VALUES (?, ?, 'key', ?)",
                ((number % work.SHARDS, number // work.SHARDS, work.DATA)
                 for number in range(first, min(first + 20_000, records))))
            self.connection.execute("COMMIT")

    def close(self):
        self.connection.close()
        self.folder.__exit__()

    def drain(self):
        """Records a second of one reader that stores a checkpoint after each batch, synced."""
        self.connection.execute("DELETE FROM checkpoints")
        begun = time.monotonic()
        drained = 0
        left = {shard: -1 for shard in range(work.SHARDS)}
        while left:
            for shard, position in list(left.items()):
                rows = self.connection.execute(
                    "SELECT position, key, data FROM records WHERE shard = ? AND position > ?"
                    f" ORDER BY position LIMIT {work.BATCH_SIZE}", (shard, position)).fetchall()
                if not rows:
                    del left[shard]
                    continue
                drained += len(rows)
                left[shard] = rows[-1][0]
                self.connection.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?)", (shard, rows[-1][0]))
        elapsed = time.monotonic() - begun
        if drained != self.records:
            raise RuntimeError(f"SQLite delivered {drained} of {self.records} records")
        return drained / elapsed
