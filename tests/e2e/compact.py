#!/usr/bin/env python3
"""`sendmill lake compact` on what the sink wrote, on the real S3 server: killed at each of its steps,
while two DuckDB readers look on; rows before = during = after, the audit agrees at every moment."""
import io
import json
import os
import re
import struct
import subprocess
import tempfile
import threading
import time
import unittest
import uuid
from collections import Counter
from pathlib import Path

import boto3
import duckdb
import fastavro
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import lab

RUN = uuid.uuid4().hex[:8]
TOPIC, PREFIX, GROUP = f"compact.{RUN}", f"e2e/{RUN}/", f"compact-{RUN}"
PARTITIONS, RECORDS = 2, 1200
DAY_MS = 86_400_000
V1 = {"type": "record", "name": "Ev", "fields": [
    {"name": "message_id", "type": "string"},
    {"name": "n", "type": "int"},
    {"name": "tags", "type": {"type": "map", "values": "string"}, "default": {}}]}
V2 = {"type": "record", "name": "Ev", "fields": [
    {"name": "message_id", "type": "string"},
    {"name": "n", "type": "long"},
    {"name": "tags", "type": {"type": "map", "values": "string"}, "default": {}},
    {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}],
     "default": None}]}
WHAT = ("count(*), count(DISTINCT (_partition, _offset)), "
        "sum(hash(message_id, n::BIGINT, tags::VARCHAR)), count(\"at\")")


def encode(number: int, schema: dict, value: dict) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, value)
    return struct.pack(">bI", 0, number) + out.getvalue()


def load() -> None:
    """Records of four closed days and of today; two schema versions, one after the other; some that
    are no Avro."""
    ids = [lab.register(f"{TOPIC}-value", s) for s in (V1, V2)]
    p = Producer({"bootstrap.servers": lab.ENV["BROKERS"], "acks": "all"})
    now = int(time.time() * 1000)
    for i in range(RECORDS):
        new = i >= RECORDS // 2
        value = {"message_id": f"m{i}/0", "n": i << 33 if new else i, "tags": {"k": f"v{i % 9}"}}
        if new:
            value["at"] = now * 1000 + i
        data = b"no avro" if i % 97 == 13 else encode(ids[new], (V1, V2)[new], value)
        day = now - (6 - i * 4 // RECORDS) * DAY_MS if i < RECORDS - 60 else now
        p.produce(TOPIC, data, key=str(i), partition=i % PARTITIONS, timestamp=day)
        p.poll(0)
    assert p.flush(30) == 0


def sink() -> None:
    """One sink, until all is committed."""
    e = lab.ENV
    c = Consumer({"bootstrap.servers": e["BROKERS"], "group.id": GROUP})
    parts = [TopicPartition(TOPIC, p) for p in range(PARTITIONS)]
    with tempfile.TemporaryFile() as log:
        proc = subprocess.Popen(
            [lab.BUILD / "bin/mill-sink-parquet", f"--brokers={e['BROKERS']}",
             f"--registry={e['REGISTRY']}", f"--in.topics={TOPIC}", f"--group={GROUP}",
             f"--s3-endpoint={e['S3_ENDPOINT']}", f"--s3-bucket={e['S3_BUCKET']}",
             f"--s3-prefix={PREFIX}", "--flush=1s", "--roll-rows=20",
             "--meta-columns=_partition,_offset", "--failures-topic="],
            stdout=log, stderr=log, env={**os.environ, **e})
        def ready() -> bool:
            try:
                return proc.poll() is not None or all(
                    t.offset == RECORDS // PARTITIONS for t in c.committed(parts, timeout=10))
            except KafkaException:  # the group has no coordinator yet
                return False

        try:
            lab.wait_for("the sink", ready)
        finally:
            proc.terminate()
            proc.wait(30)
            c.close()
            log.seek(0)
            if proc.returncode:
                raise AssertionError(log.read().decode()[-3000:])


def sendmill(*args: str, fault: str | None = None) -> subprocess.CompletedProcess:
    """Against this run's prefix; with a fault it is killed there."""
    env = {**os.environ, **lab.ENV}
    with tempfile.TemporaryDirectory() as tmp:
        if fault:
            env["MILL_FAULT_FILE"] = f"{tmp}/fault"
            Path(tmp, "fault").write_text(f"{fault}\n")
        return subprocess.run([lab.BUILD / "bin/sendmill", *args, f"--s3-prefix={PREFIX}", "-o",
                               "json"], env=env, capture_output=True, text=True, timeout=120,
                              check=False)


def compact(*args: str, **how) -> subprocess.CompletedProcess:
    return sendmill("lake", "compact", TOPIC, *args, **how)


def grace_passes() -> None:
    """The server's clock of an object is its file's: three hours ago."""
    old = time.time() - 3 * 3600
    folder = lab.state_dir() / "data/s3" / lab.ENV["S3_BUCKET"] / PREFIX / "merging"
    for file in [f for f in folder.rglob("*.parquet") if f.is_file()]:
        os.utime(file, (old, old))


def client():
    return boto3.client("s3", endpoint_url=lab.ENV["S3_ENDPOINT"], region_name="us-east-1",
                        aws_access_key_id=lab.ENV["AWS_ACCESS_KEY_ID"],
                        aws_secret_access_key=lab.ENV["AWS_SECRET_ACCESS_KEY"])


def names() -> dict[str, int]:
    """All that lies there."""
    pages = client().get_paginator("list_objects_v2").paginate(Bucket=lab.ENV["S3_BUCKET"],
                                                         Prefix=PREFIX)
    return {o["Key"].removeprefix(PREFIX): o["Size"] for p in pages for o in p.get("Contents", [])}


class Reader(threading.Thread):
    """Polls; counts what it sees."""

    def __init__(self, exact: bool):
        super().__init__(daemon=True)
        self.exact, self.seen, self.lost, self.on = exact, Counter(), 0, True
        self.db = lab.local_lake.connect()
        # listing and view of `lake ddl --exact`; or just the view, over the glob
        ddl = sendmill("lake", "ddl", TOPIC, "--engine=duckdb", *["--exact"] * exact).stdout
        self.listing, self.view = re.fullmatch(r"(.*?)(CREATE .*)", ddl, re.S).groups()

    def once(self):
        self.db.execute(self.listing + self.view)
        return self.db.execute(f"SELECT {WHAT} FROM compact_{RUN}").fetchone()

    def run(self):
        while self.on:
            try:
                self.seen[self.once()] += 1
            except duckdb.Error as e:
                if "404" not in str(e) and "No such" not in str(e):
                    self.seen[str(e)] += 1
                self.lost += 1  # a file went between the listing and its turn: it says so
            time.sleep(.02)

    def end(self):
        self.on = False
        self.join(30)


class Compact(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        os.environ.update(lab.ENV)
        admin = AdminClient({"bootstrap.servers": lab.ENV["BROKERS"]})
        for f in admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)]).values():
            f.result(30)
        load()
        sink()

    def audit(self) -> dict:
        done = sendmill("audit", TOPIC)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    def killed(self, fault: str):
        done = compact(fault=f"{fault} kill")
        self.assertEqual(done.returncode, -9, f"{fault}: {done.stdout}{done.stderr}")
        total = self.audit()
        self.assertEqual(total["rows"] + total["rejected"], RECORDS)

    def test_compact(self):
        before = names()
        readers = [Reader(exact=True), Reader(exact=False)]
        want = readers[0].once()
        self.assertEqual(want[:2], (RECORDS - len([i for i in range(RECORDS) if i % 97 == 13]),) * 2)
        dry = json.loads(compact("-n").stdout.splitlines()[-1])
        self.assertGreaterEqual(dry["merge"]["files"], 8)  # four days of two partitions
        self.assertGreater(dry["merge"]["parts"], 40)
        self.assertEqual(names(), before)
        for r in readers:
            r.start()
        self.killed("compact.before-put")
        self.assertEqual(names(), before)
        self.killed("compact.after-put")
        done = compact()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        there = names()
        self.assertEqual({k: v for k, v in there.items() if not k.startswith("merging/")}, before)
        self.assertEqual(compact().returncode, 0)  # too early: all of them wait
        self.assertEqual(names(), there)
        grace_passes()
        plain = readers[1].seen.copy()
        self.assertEqual(set(plain), {want})  # nothing was there for a plain reader to see so far
        self.killed("compact.after-copy")
        self.killed("compact.after-delete")
        done = compact()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        after = names()
        again = json.loads(compact().stdout.splitlines()[-1])
        for r in readers:
            r.end()
        print("files", len(before), "->", len(after), "reads", [sum(r.seen.values()) for r in readers],
              "lost", [r.lost for r in readers], "plain saw", dict(readers[1].seen))
        self.assertEqual(names(), after)  # a second time is nothing
        self.assertEqual([again[a]["files"] for a in ("merge", "swap", "sweep", "wait")], [0] * 4)
        self.assertLess(len(after), len(before) / 3)
        self.assertEqual([k for k in after if k.startswith("merging/")], [])
        self.assertEqual(set(readers[0].seen), {want})  # exact: always the same
        self.assertGreater(readers[0].seen[want], 10)
        for got in readers[1].seen:  # plain: never too few, and distinct rows are always all
            self.assertGreaterEqual(got[0], want[0])
            self.assertEqual(got[1], want[1])
        self.assertEqual(readers[1].once(), want)
        self.assertEqual(self.audit()["rows"], want[0])
        merged = [k for k in after if re.search(r"dt=[^/]*/[^/]*$", k) and k not in before]
        self.assertEqual(len(merged), dry["merge"]["files"])
        self.last_range_gone(after)

    def last_range_gone(self, there: dict[str, int]):
        """By the lake alone nobody sees it; by what the group has committed one does."""
        self.assertEqual(sendmill("audit", TOPIC, f"--group={GROUP}").returncode, 0)
        end = max(int(re.search(r"-(\d+)[.]parquet$", k)[1]) for k in there)
        for key in [k for k in there if k.endswith(f"-{end}.parquet") and "+0+" in k]:
            client().delete_object(Bucket=lab.ENV["S3_BUCKET"], Key=PREFIX + key)
        self.assertEqual(sendmill("audit", TOPIC).returncode, 0)
        done = sendmill("audit", TOPIC, f"--group={GROUP}")
        said = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual([(f["fault"], f["partition"], f["end"]) for f in said
                          if f["kind"] == "finding"], [("gap", 0, RECORDS // PARTITIONS)])


if __name__ == "__main__":
    lab.main()
