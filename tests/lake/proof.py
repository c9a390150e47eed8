"""What the broker has against what the lake has, by DuckDB over S3; and sendmill audit's word."""
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import boto3
import confluent_kafka as ck
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy/local"))
from stack import lake as duck  # noqa: E402

TRUTH = pa.schema([("topic", pa.string()), ("partition", pa.int32()), ("offset", pa.int64()),
                   ("key", pa.string())])


def ends(brokers: str, topics: dict[str, int]) -> dict[tuple[str, int], int]:
    c = ck.Consumer({"bootstrap.servers": brokers, "group.id": "lake-ends", "log_level": 0})
    try:
        return {(t, p): c.get_watermark_offsets(ck.TopicPartition(t, p), timeout=30)[1]
                for t, n in topics.items() for p in range(n)}
    finally:
        c.close()


def truth(brokers: str, topics: dict[str, int], file: Path) -> int:
    """Every record that a reader of committed records sees, into a Parquet file; how many."""
    c = ck.Consumer({"bootstrap.servers": brokers, "group.id": "lake-truth", "log_level": 0,
                     "enable.auto.commit": False, "isolation.level": "read_committed",
                     "enable.partition.eof": True, "queued.max.messages.kbytes": 65536})
    left = {(t, p) for t, n in topics.items() for p in range(n)}
    c.assign([ck.TopicPartition(t, p, 0) for t, p in left])
    rows, until = 0, time.monotonic() + 1200
    with pq.ParquetWriter(file, TRUTH) as out:
        while left:
            if time.monotonic() > until:
                raise RuntimeError(f"not read to their ends: {left}")
            got = c.consume(20000, 1.0)
            left -= {(m.topic(), m.partition()) for m in got if m.error()}
            good = [m for m in got if not m.error()]
            rows += len(good)
            out.write_table(pa.table([[m.topic() for m in good], [m.partition() for m in good],
                                      [m.offset() for m in good], [m.key().decode() for m in good]],
                                     schema=TRUTH))
    c.close()
    return rows


def failures(brokers: str, topic: str, partitions: int) -> list[tuple]:
    """Committed failure records: (topic, partition, offset, key, value) of what each is about."""
    c = ck.Consumer({"bootstrap.servers": brokers, "group.id": "lake-failures", "log_level": 0,
                     "enable.auto.commit": False, "isolation.level": "read_committed",
                     "enable.partition.eof": True})
    left, found, until = set(range(partitions)), [], time.monotonic() + 120
    c.assign([ck.TopicPartition(topic, p, 0) for p in left])
    while left and time.monotonic() < until:
        for m in c.consume(1000, 1.0):
            if m.error():
                left.discard(m.partition())
                continue
            h = {k: v.decode() for k, v in m.headers()}
            found.append((h["__connect.errors.topic"], int(h["__connect.errors.partition"]),
                          int(h["__connect.errors.offset"]), m.key(), m.value()))
    c.close()
    if left:
        raise RuntimeError(f"{topic}: not read to its end: {left}")
    return found


class Proof:
    """Findings of DuckDB; `bad` says what else is wrong."""

    def __init__(self, prefix: str, events: str, raw: str, truth_file: Path):
        self.bad: list[str] = []
        self.con = con = duck.connect()
        base = f"s3://{os.environ['S3_BUCKET']}/{prefix}"
        con.execute(f"create view truth as select * from '{truth_file}'")
        con.execute(f"""create table lake as
            select '{events}' topic, _partition part, _offset pos, decode(_key) AS "key", 'row' kind,
                id = 'm' || substr(decode(_key), 2) and strftime("at", '%Y-%m-%d') = dt
                    and strftime("at", '%H') = hour good, filename, null::blob bytes
            from read_parquet('{base}topic={events}/**/*.parquet', union_by_name = true,
                filename = true, hive_partitioning = true, hive_types = {{dt: varchar, hour: varchar}})""")
        for kind, topic in (("row", raw), ("rejected", events)):
            try:
                con.execute(f"""insert into lake
                    select '{topic}', "partition", "offset", decode("key"), '{kind}',
                        headers = [{{key: 'n', value: encode(substr(decode("key"), 2))}}]
                            and strftime("timestamp", '%Y-%m-%d') = dt, filename, "value"
                    from read_parquet('{base}{'topic' if kind == 'row' else kind}={topic}/**/*.parquet',
                        filename = true, hive_partitioning = true, hive_types = {{dt: varchar}})""")
            except Exception as e:
                if "No files found" not in str(e):
                    raise
        self.missing = self.ask("""truth t anti join lake l
            on t.topic = l.topic and t.partition = l.part and t."offset" = l.pos""", "missing")
        self.double = self.one("select count(*) - count(distinct (topic, part, pos)) from lake")
        self.some("double", """select topic, part, pos, list(filename) from lake
            group by all having count(*) > 1""")
        self.some("never on the broker", """select l.* from lake l anti join truth t
            on t.topic = l.topic and t.partition = l.part and t."offset" = l.pos""")
        self.some("of another record, or in a wrong folder", """select l.* from lake l join truth t
            on t.topic = l.topic and t.partition = l.part and t."offset" = l.pos
            where l.key <> t.key or l.good is not true""")
        self.rejected = self.one("select count(*) from lake where kind = 'rejected'")
        self.objects = self.one("select count(distinct filename) from lake")

    def failed(self, found: list[tuple]) -> None:
        """Each rejected record that is no tombstone has one failure record, with its bytes."""
        rows = self.con.execute("select topic, part, pos, key, bytes from lake "
                                "where kind = 'rejected' and bytes is not null").fetchall()
        lake = Counter((t, p, o, k.encode(), v) for t, p, o, k, v in rows)
        said = Counter(found)
        self.bad += [f"failure record missing or other: {x}" for x in list(lake - said)[:10]]
        self.bad += [f"failure record twice or of nothing: {x}" for x in list(said - lake)[:10]]

    def one(self, sql: str) -> int:
        return self.con.execute(sql).fetchone()[0]

    def ask(self, tables: str, what: str) -> int:
        n = self.one(f"select count(*) from {tables}")
        if n:
            self.bad += [f"{what}: {r}" for r in
                         self.con.execute(f"select t.* from {tables} limit 10").fetchall()]
        return n

    def some(self, what: str, sql: str) -> None:
        found = self.con.execute(sql + " limit 10").fetchall()
        self.bad += [f"{what}: {r}" for r in found]


class Audit:
    """sendmill audit of one prefix."""

    def __init__(self, program: Path, prefix: str):
        self.program, self.prefix = program, prefix
        self.bucket = os.environ["S3_BUCKET"]
        self.s3 = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT"],
                               region_name="us-east-1")

    def run(self) -> tuple[int, list[dict], dict]:
        """(exit code, findings, sum)"""
        done = subprocess.run([self.program, "audit", "--s3-prefix", self.prefix, "-o", "json"],
                              capture_output=True, text=True, timeout=900)
        said = [json.loads(line) for line in done.stdout.splitlines()]
        if not said:
            return done.returncode, [{"fault": done.stderr, "object": "", "detail": ""}], {}
        return done.returncode, [x for x in said if x["kind"] == "finding"], said[-1]

    def keys(self, folder: str) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix + folder)
        return [o["Key"] for page in pages for o in page.get("Contents", [])]

    def agrees(self, records: int) -> list[str]:
        code, findings, total = self.run()
        bad = [f"audit: {f}" for f in findings[:10]]
        if code or total.get("rows", 0) + total.get("rejected", 0) != records:
            bad.append(f"audit: exit {code}, {total}; {records} records are on the broker")
        return bad

    def detects(self, topic: str, rng) -> list[str]:
        """An object that goes away, or stands under another range as well, is named."""
        place = re.compile(r"(.*\+(\d+)\+)(\d+)-(\d+)\.parquet")
        found = {k: place.fullmatch(k) for k in self.keys(f"topic={topic}/")}
        last = {}
        for m in found.values():
            last[m[2]] = max(last.get(m[2], 0), int(m[4]))
        # Names and footers cannot tell that the very first or last range of a partition is gone.
        inner = [k for k, m in found.items() if int(m[3]) > 0 and int(m[4]) < last[m[2]]]
        if not inner:
            return ["audit: no object stands between two others; nothing was tried"]
        victim = rng.choice(sorted(inner))
        m = found[victim]
        copy = f"{m[1]}{int(m[4]) + 10**6}-{2 * int(m[4]) - int(m[3]) + 10**6}.parquet"
        bytes_, meta = self.read(victim)
        bad = self.harmed("copied", copy, m, lambda: self.write(copy, bytes_, meta),
                          lambda: self.remove(copy))
        return bad + self.harmed("deleted", victim, m, lambda: self.remove(victim),
                                 lambda: self.write(victim, bytes_, meta))

    def read(self, key: str):
        o = self.s3.get_object(Bucket=self.bucket, Key=key)
        return o["Body"].read(), o["Metadata"]

    def write(self, key: str, bytes_: bytes, meta: dict) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=bytes_, Metadata=meta)

    def remove(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.bucket, Key=key)

    def harmed(self, what: str, key: str, m: re.Match, harm, heal) -> list[str]:
        harm()
        code, findings, _ = self.run()
        heal()
        named = any(key in f["object"] or key in f["detail"] or
                    (f["fault"] == "gap" and (f["start"], f["end"]) == (int(m[3]), int(m[4])))
                    for f in findings)
        return [] if named and code == 1 else [f"audit, {what} {key}: exit {code}, {findings[:5]}"]
