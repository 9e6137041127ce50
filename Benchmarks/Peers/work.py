"""The work that every system does: the same records, the same shards, the same measure."""
import hashlib
import statistics
import time

SHARDS = 8
RECORD_BYTES = 256
RECORDS_PER_PUT = 500
BATCH_SIZE = 500
PRODUCERS = 8
DATA = b"a" * RECORD_BYTES


def keys(producer):
    """The partition keys of a producer, made beforehand: the making of strings is not measured."""
    return [f"producer-{producer}-key-{number}" for number in range(1_024)]


def shard(key):
    """Equal parts of the MD5 space, as in Sluice."""
    return hashlib.md5(key.encode()).digest()[0] * SHARDS // 256


def quantile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


class Measured:
    """Repeated measurements of one system at one work."""

    def __init__(self, work, system, setting, unit, bigger_is_better=True):
        self.work, self.system, self.setting, self.unit = work, system, setting, unit
        self.bigger_is_better = bigger_is_better
        self.values = []

    @property
    def median(self):
        return statistics.median(self.values)

    def ratio(self, sluice):
        """How many times better Sluice is; below 1 it is worse."""
        if self.bigger_is_better:
            return sluice.median / self.median
        return self.median / sluice.median

    def summary(self, sluice):
        return {
            "work": self.work, "system": self.system, "setting": self.setting, "unit": self.unit,
            "median": round(self.median, 3), "least": round(min(self.values), 3),
            "greatest": round(max(self.values), 3), "runs": len(self.values),
            "sluiceIsBetterBy": None if self is sluice else round(self.ratio(sluice), 2),
        }


def pace(count, every):
    """Yields `count` times, `every` seconds apart, without drifting."""
    begun = time.monotonic()
    for position in range(count):
        due = begun + position * every
        while (left := due - time.monotonic()) > 0:
            time.sleep(left)
        yield position
