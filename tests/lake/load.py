"""What is written while the faults happen: Avro of two schema versions in turns, late and damaged
records, some in transactions of which some are aborted, and a raw topic."""
import io
import random
import struct
import threading
import time

import confluent_kafka as ck
import fastavro

EVENT_PARTITIONS, RAW_PARTITIONS = 10, 2
LATE, BAD = 0.02, 0.002  # share of records
BURST_S = 0.1

FIELDS = [
    {"name": "id", "type": "string"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["NONE", "OPEN", "CLICK"]}},
    {"name": "recipient", "type": "string"},
    {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []}]
V1 = {"type": "record", "name": "Ev", "fields": FIELDS}
V2 = {**V1, "fields": FIELDS + [
    {"name": "url", "type": ["null", "string"], "default": None},
    {"name": "geo", "default": None, "type": ["null", {"type": "record", "name": "Geo", "fields": [
        {"name": "country", "type": "string"}, {"name": "spots", "type": {
            "type": "map", "values": "double"}}]}]}]}
SCHEMAS = [V1, V2]
DAMAGE = ["no value", "no frame", "unknown schema", "truncated"]


class Load(threading.Thread):
    """Writes up to `rows` records that count (those of aborted transactions do not), as fast as
    `progress`, 0 to 1, lets it."""

    def __init__(self, brokers: str, events: str, raw: str, ids: list[int], rows: int,
                 per_second: float, seed: int):
        super().__init__(daemon=True)
        self.rng = random.Random(seed)
        self.conf = {"bootstrap.servers": brokers, "linger.ms": 20, "compression.type": "lz4",
                     "enable.idempotence": True, "log_level": 0}
        self.events, self.raw, self.ids = events, raw, ids
        self.rows, self.per_second = rows, per_second
        self.parsed = [fastavro.parse_schema(s) for s in SCHEMAS]
        self.progress = 0.0
        self.made = self.n = 0       # records that count; all
        self.by_hand: list[str] = []  # what went wrong with it
        self.plain = ck.Producer(self.conf)
        self.txn = None

    def body(self, i: int, at_us: int) -> bytes | None:
        draw = self.rng.random()
        damage = DAMAGE[int(draw / BAD * len(DAMAGE))] if draw < BAD else ""
        if damage == "no value":
            return None
        if damage == "no frame":
            return b"plain text"
        if damage == "unknown schema":
            return struct.pack(">bI", 0, 999999) + b"x"
        version = i % 2
        value = {"id": f"m{i}", "at": at_us, "kind": ("NONE", "OPEN", "CLICK")[i % 3],
                 "recipient": f"user{i % 9973}@example.org", "tags": ["t", "mail"][:i % 3]}
        if version:
            value["url"] = f"https://example.org/click/{i}" if i % 4 == 1 else None
            value["geo"] = {"country": "DE", "spots": {"lat": i / 7}} if i % 8 == 3 else None
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self.parsed[version], value)
        data = struct.pack(">bI", 0, self.ids[version]) + out.getvalue()
        return data[:-1] if damage else data

    def one(self, producer: ck.Producer) -> None:
        i, self.n = self.n, self.n + 1
        at_us = int(time.time() * 1e6) - (86400_000_000 if self.rng.random() < LATE else 0)
        raw = self.rng.random() < RAW_PARTITIONS / (EVENT_PARTITIONS + RAW_PARTITIONS)
        topic = self.raw if raw else self.events
        partition = self.rng.randrange(RAW_PARTITIONS if raw else EVENT_PARTITIONS)
        while True:
            try:
                producer.produce(topic, self.body(i, at_us), key=f"k{i}", partition=partition,
                                 headers=[("n", str(i))])
                return
            except BufferError:
                producer.poll(0.1)

    def transaction(self, n: int) -> int:
        """Markers in the log, and sometimes records that nobody may see. How many count."""
        try:
            if self.txn is None:
                self.txn = ck.Producer({**self.conf, "transactional.id": f"load-{self.events}"})
                self.txn.init_transactions(60)
            keep = self.rng.random() < 0.7
            self.txn.begin_transaction()
            for _ in range(n):
                self.one(self.txn)
            self.txn.flush(60)
            (self.txn.commit_transaction if keep else self.txn.abort_transaction)(60)
            return n if keep else 0
        except ck.KafkaException as e:  # the broker was down; what has become of it, the log says
            self.by_hand.append(f"load: {e}")
            self.txn = None
            return 0

    def burst(self, n: int) -> None:
        if self.rng.random() < 0.15:
            self.made += self.transaction(n)
            return
        for _ in range(n):
            self.one(self.plain)
        self.made += n
        self.plain.poll(0)

    def run(self):
        """Never ahead of the faults' progress, so that both end together."""
        begun, before = time.monotonic(), 0
        while self.made < self.rows:
            now = time.monotonic()
            most = min(self.rows * self.progress, before + self.per_second * (now - begun))
            n = int(most) - self.made
            begun, before = now, self.made
            self.burst(n) if n > 0 else None
            time.sleep(BURST_S)
        left = self.plain.flush(120)
        if left:
            self.by_hand.append(f"load: {left} records were not taken")

    def last(self) -> None:
        """One record more into each partition, acknowledged."""
        for topic, n in ((self.events, EVENT_PARTITIONS), (self.raw, RAW_PARTITIONS)):
            for p in range(n):
                i, self.n = self.n, self.n + 1
                self.plain.produce(topic, self.good(i), key=f"k{i}", partition=p,
                                   headers=[("n", str(i))])
        if self.plain.flush(60):
            raise RuntimeError("the last records were not taken")
        self.made += EVENT_PARTITIONS + RAW_PARTITIONS

    def good(self, i: int) -> bytes:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self.parsed[0], {
            "id": f"m{i}", "at": int(time.time() * 1e6), "kind": "OPEN",
            "recipient": "last@example.org", "tags": []})
        return struct.pack(">bI", 0, self.ids[0]) + out.getvalue()
