"""Redis streams: one for each shard, over a Unix socket, with requests that are put together beforehand.

Replies are counted by their lines instead of being parsed, so that the client costs little beside the server: a client
library in Python would be what is measured. That needs data without line ends, which this is.
"""
import multiprocessing
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import work

GROUP = b"group"
# Lines of one entry in the answer to XREADGROUP: its array, its id, and two fields with their values.
LINES_OF_AN_ENTRY = 12
NOTHING = b"*-1\r\n"


def command(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def stream(shard):
    return b"shard-%d" % shard


class Server:
    """A redis-server of its own in a temporary folder. `fsync` is `always` or `everysec`."""

    def __init__(self, fsync, directory=None):
        self.folder = tempfile.mkdtemp(prefix="sluice-peers-redis-", dir=directory)
        self.socket = os.path.join(self.folder, "socket")
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.folder, "--save", "",
             "--appendonly", "yes", "--appendfsync", fsync, "--auto-aof-rewrite-percentage", "0",
             "--daemonize", "no"],
            stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                with Connection(self.socket) as connection:
                    connection.call(command("PING"), 1)
                    return
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.close()
                    raise RuntimeError("redis-server did not start") from None
                time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)


class Connection:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.buffer = bytearray()
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, request):
        self.socket.sendall(request)

    def fill(self):
        part = self.socket.recv(1 << 20)
        if not part:
            raise ConnectionError("redis-server closed the connection")
        self.buffer += part
        return part

    def lines(self, count):
        """The next `count` lines."""
        seen = self.buffer.count(b"\r\n")
        while seen < count:
            held = len(self.buffer)
            self.fill()
            # One more byte: the end of a line may have been cut in two.
            seen += self.buffer.count(b"\r\n", max(0, held - 1))
        parts = self.buffer.split(b"\r\n", count)
        self.buffer = parts.pop()
        return parts

    def call(self, request, lines):
        self.send(request)
        answer = self.lines(lines)
        for line in answer:
            if line.startswith(b"-"):
                raise RuntimeError(f"redis refused: {line.decode()}")
        return answer


def adding(producer):
    """XADD for each key of a producer."""
    return [
        command("XADD", stream(work.shard(key)), "*", "k", key, "d", work.DATA) for key in work.keys(producer)]


def put(seconds, is_transaction, directory):
    """Durable records a second of all producers; each put is one pipeline, or one transaction."""
    with Server("always", directory) as server:
        totals = [0] * work.PRODUCERS
        start = threading.Barrier(work.PRODUCERS + 1)

        def produce(producer):
            requests = adding(producer)
            position = 0
            with Connection(server.socket) as connection:
                start.wait()
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    one = b"".join(
                        requests[(position + number) & 1_023] for number in range(work.RECORDS_PER_PUT))
                    if is_transaction:
                        connection.call(
                            command("MULTI") + one + command("EXEC"), 2 + 3 * work.RECORDS_PER_PUT)
                    else:
                        connection.call(one, 2 * work.RECORDS_PER_PUT)
                    position += work.RECORDS_PER_PUT
                    totals[producer] = position

        producers = [threading.Thread(target=produce, args=(number,)) for number in range(work.PRODUCERS)]
        for producer in producers:
            producer.start()
        start.wait()
        begun = time.monotonic()
        for producer in producers:
            producer.join()
        if 0 in totals:
            raise RuntimeError("a producer of Redis put nothing")
        return sum(totals) / (time.monotonic() - begun)


class Backlog:
    """A server with records, to be drained again and again by groups of their own. Synced every second: the gentler
    setting, since only acknowledgements are written."""

    def __init__(self, records, directory):
        self.server = Server("everysec", directory)
        self.records = records
        with Connection(self.server.socket) as connection:
            adds = [command("XADD", stream(number % work.SHARDS), "*", "k", "key", "d", work.DATA)
                    for number in range(work.SHARDS)]
            for first in range(0, records, 4_000):
                count = min(4_000, records - first)
                connection.call(
                    b"".join(adds[(first + number) % work.SHARDS] for number in range(count)), 2 * count)

    def close(self):
        self.server.close()

    def drain(self):
        """Records a second of one consumer process that reads and acknowledges all streams."""
        with Connection(self.server.socket) as connection:
            for shard in range(work.SHARDS):
                connection.call(command("XGROUP", "CREATE", stream(shard), GROUP, "0"), 1)
            begun = time.monotonic()
            drained = read_all(connection)
            elapsed = time.monotonic() - begun
            for shard in range(work.SHARDS):
                connection.call(command("XGROUP", "DESTROY", stream(shard), GROUP), 1)
        if drained != self.records:
            raise RuntimeError(f"Redis delivered {drained} of {self.records} records")
        return drained / elapsed


def read_all(connection):
    """Keeps a request for each stream under way: the acknowledgement of its last batch and the next read."""
    def read(shard):
        return command(
            "XREADGROUP", "GROUP", GROUP, "consumer", "COUNT", work.BATCH_SIZE, "STREAMS", stream(shard), ">")

    drained = 0
    waiting = []
    for shard in range(work.SHARDS):
        connection.send(read(shard))
        waiting.append((shard, 0))
    while waiting:
        shard, acknowledged = waiting.pop(0)
        if acknowledged and connection.lines(1)[0] != b":%d" % acknowledged:
            raise RuntimeError("Redis did not acknowledge a batch")
        ids = entries(connection)
        if ids:
            drained += len(ids)
            connection.send(command("XACK", stream(shard), GROUP, *ids) + read(shard))
            waiting.append((shard, len(ids)))
    return drained


def entries(connection):
    """The ids of the entries in the next answer to XREADGROUP of one stream."""
    if connection.lines(1)[0] + b"\r\n" == NOTHING:
        return []
    header = connection.lines(4)
    count = int(header[3][1:])
    return [bytes(one) for one in connection.lines(count * LINES_OF_AN_ENTRY)[2::LINES_OF_AN_ENTRY]]


def latency(records, directory):
    """p50 and p99 in milliseconds, from the call of XADD to the return of XREADGROUP in another process."""
    with Server("always", directory) as server:
        with Connection(server.socket) as connection:
            for shard in range(work.SHARDS):
                connection.call(command("XGROUP", "CREATE", stream(shard), GROUP, "0", "MKSTREAM"), 1)
        context = multiprocessing.get_context("fork")
        ready = context.Event()
        producer = context.Process(target=produce_slowly, args=(server.socket, records, ready))
        producer.start()
        times = []
        streams = [stream(shard) for shard in range(work.SHARDS)]
        read = command(
            "XREADGROUP", "GROUP", GROUP, "consumer", "COUNT", 100, "BLOCK", 5_000, "STREAMS", *streams,
            *([">"] * work.SHARDS))
        with Connection(server.socket) as connection:
            connection.send(read)
            ready.set()
            while len(times) < records:
                shards = int(connection.lines(1)[0][1:])
                if shards < 0:
                    raise RuntimeError("Redis delivered nothing for five seconds")
                now = time.monotonic_ns()
                acknowledgements = []
                for _ in range(shards):
                    header = connection.lines(4)
                    lines = connection.lines(int(header[3][1:]) * LINES_OF_AN_ENTRY)
                    times += [now - int(data[:20]) for data in lines[11::LINES_OF_AN_ENTRY]]
                    acknowledgements.append(command("XACK", header[2], GROUP, *lines[2::LINES_OF_AN_ENTRY]))
                connection.send(b"".join(acknowledgements) + (read if len(times) < records else b""))
                connection.lines(shards)
        producer.join()
        return work.quantile(times, 0.5) / 1e6, work.quantile(times, 0.99) / 1e6


def produce_slowly(path, records, ready):
    """One XADD a millisecond that carries the time of its call."""
    with Connection(path) as connection:
        ready.wait()
        for position in work.pace(records, 0.001):
            key = f"key-{position}"
            target = stream(work.shard(key))
            data = b"%020d" % time.monotonic_ns() + work.DATA[20:]
            connection.call(command("XADD", target, "*", "k", key, "d", data), 2)
