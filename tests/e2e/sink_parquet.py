#!/usr/bin/env python3
"""mill-sink-parquet on a real broker, registry and S3: every record in the lake exactly once, while
sinks are killed with -9, frozen past their session and added, and S3 goes away.
usage: sink_parquet.py PROGRAM [SECONDS [SEED]]    (77: the parts are not installed)
Starts an instance of its own by deploy/local/up, or uses the one that SINK_E2E_INSTANCE names."""
import collections
import io
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent.parent
LOCAL = REPO / "deploy/local"
try:
    import boto3
    import confluent_kafka as ck
    import duckdb
    import fastavro
    import pyarrow.parquet as pq
    from confluent_kafka.admin import AdminClient, NewTopic
except ImportError as e:
    print(f"skipped: {e}; run deploy/local/setup")
    sys.exit(77)

PROGRAM = sys.argv[1]
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 45
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else int(time.time())
RUN = f"{SEED % 10**6}"
EVENTS, RAW = f"lake.events.{RUN}", f"lake.raw.{RUN}"
GROUP = f"sink-e2e-{RUN}"
PARTITIONS, SINKS = 4, 2
rnd = random.Random(SEED)

V1 = {"type": "record", "name": "Ev", "fields": [
    {"name": "id", "type": "string"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["NONE", "OPEN", "CLICK"]}},
    {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []}]}
V2 = {**V1, "fields": V1["fields"] + [{"name": "url", "type": ["null", "string"], "default": None}]}


def environment():
    name = os.environ.get("SINK_E2E_INSTANCE")
    if not name:
        name = f"sink-e2e-{os.getpid()}"
        subprocess.run([LOCAL / "up", "--name", name, "--base", "auto", "--only",
                        "broker,registry,s3"], check=True, timeout=300)
    text = subprocess.run([LOCAL / "env", "--name", name], check=True, capture_output=True,
                          text=True).stdout
    env = {}
    for line in text.splitlines():
        key, _, value = line.removeprefix("export ").partition("=")
        env[key] = value.strip("'")
    return name, env


def register(env, subject, schema):
    req = urllib.request.Request(f"{env['REGISTRY']}/subjects/{subject}/versions",
                                 json.dumps({"schema": json.dumps(schema)}).encode(),
                                 {"Content-Type": "application/vnd.schemaregistry.v1+json"})
    return json.load(urllib.request.urlopen(req))["id"]


class Sink:
    """One process, restarted by hand as a supervisor would."""

    def __init__(self, env, number, tmp):
        self.env, self.number = env, number
        self.log = open(tmp / f"sink{number}.log", "ab")
        self.proc = None
        self.start()

    def start(self):
        e = self.env
        self.proc = subprocess.Popen(
            [PROGRAM, f"--brokers={e['BROKERS']}", f"--registry={e['REGISTRY']}",
             f"--in.topics={EVENTS},{RAW}", f"--group={GROUP}", f"--instance={self.number}",
             f"--s3-endpoint={e['S3_ENDPOINT']}", f"--s3-bucket={e['S3_BUCKET']}",
             f"--s3-prefix=e2e/{RUN}/", "--flush=700ms", "--roll-rows=400", f"--raw-topics={RAW}",
             "--meta-columns=_topic,_partition,_offset,_timestamp,_key", "--s3-timeout=5s",
             "--rdkafka.session.timeout.ms=6000", "--rdkafka.max.poll.interval.ms=8000"],
            stdout=self.log, stderr=self.log,
            env={**os.environ, "AWS_ACCESS_KEY_ID": e["AWS_ACCESS_KEY_ID"],
                 "AWS_SECRET_ACCESS_KEY": e["AWS_SECRET_ACCESS_KEY"]})

    def tend(self):
        """Restart it if it ended, as a supervisor does."""
        if self.proc.poll() is not None:
            self.start()

    def kill(self):
        self.proc.send_signal(signal.SIGKILL)
        self.proc.wait()

    def end(self):
        self.proc.send_signal(signal.SIGTERM)
        try:
            return self.proc.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            return -1


def body(ids, i):
    """Record i: 0 = good, else why it is to be rejected."""
    kind = i % 50
    if kind == 7:
        return None, "no value"
    if kind == 17:
        return b"plain text", "no frame"
    if kind == 27:
        return struct.pack(">bI", 0, 999999) + b"x", "unknown schema"
    number = rnd.randrange(2)
    out = io.BytesIO()
    value = {"id": f"m{i}", "at": 1790000000000000 + i, "kind": ("NONE", "OPEN", "CLICK")[i % 3],
             "tags": ["t"] * (i % 4)}
    if number:
        value["url"] = f"http://x/{i}"
    fastavro.schemaless_writer(out, (V1, V2)[number], value)
    data = struct.pack(">bI", 0, ids[number]) + out.getvalue()
    return (data[:-1], "truncated") if kind == 37 else (data, None)


class Load:
    """What was acknowledged: {(topic, partition, offset): number of the record}."""

    def __init__(self, env, ids):
        conf = {"bootstrap.servers": env["BROKERS"], "linger.ms": 5}
        self.plain = ck.Producer(conf)
        self.txn = ck.Producer({**conf, "transactional.id": f"load-{RUN}"})
        self.txn.init_transactions(30)
        self.ids, self.n, self.sent, self.why = ids, 0, {}, {}

    def one(self, producer, keep=True):
        i, self.n = self.n, self.n + 1
        topic = RAW if i % 10 == 0 else EVENTS
        data, why = body(self.ids, i)

        def done(err, msg, i=i, why=why):
            if err is None and keep:
                self.sent[(msg.topic(), msg.partition(), msg.offset())] = i
                self.why[i] = why
        # now and then in yesterday's folder
        when = int((time.time() - 86400 * (rnd.random() < .05)) * 1000)
        producer.produce(topic, data, key=f"k{i}", partition=rnd.randrange(PARTITIONS),
                         timestamp=when, headers=[("n", str(i))], on_delivery=done)

    def burst(self, n):
        if rnd.random() < .4:  # markers in the log, and sometimes records that must not be seen
            keep = rnd.random() < .7
            self.txn.begin_transaction()
            for _ in range(n):
                self.one(self.txn, keep)
            self.txn.flush(30)
            (self.txn.commit_transaction if keep else self.txn.abort_transaction)(30)
        else:
            for _ in range(n):
                self.one(self.plain)
            self.plain.poll(0)

    def end(self):
        assert self.plain.flush(60) == 0, "the load was not taken"


def fault(sinks, name):
    kind = rnd.choice(["kill", "kill", "kill", "freeze", "s3", "rest"])
    sink = rnd.choice(sinks)
    if kind == "kill":
        sink.kill()
        sink.start()
    elif kind == "freeze":  # longer than its session: it is thrown out, and wakes up stale
        sink.proc.send_signal(signal.SIGSTOP)
        yield from range(90)
        sink.proc.send_signal(signal.SIGCONT)
    elif kind == "s3":
        ctl = [LOCAL / "ctl", "--name", name]
        subprocess.run([*ctl, "stop", "s3"], check=True, capture_output=True)
        yield from range(30)
        subprocess.run([*ctl, "start", "s3"], check=True, capture_output=True)
    counts[kind] += 1
    yield from range(rnd.randrange(5, 25))


def caught_up(env):
    """Every partition's commit has reached its end, and no plan is open."""
    c = ck.Consumer({"bootstrap.servers": env["BROKERS"], "group.id": GROUP,
                     "isolation.level": "read_uncommitted"})
    try:
        parts = [ck.TopicPartition(t, p) for t in (EVENTS, RAW) for p in range(PARTITIONS)]
        last = collections.defaultdict(lambda: -1)
        for (t, p, o) in load.sent:
            last[t, p] = max(last[t, p], o)
        return all(tp.offset > last[tp.topic, tp.partition] or last[tp.topic, tp.partition] < 0
                   for tp in c.committed(parts, timeout=20))
    finally:
        c.close()


def client(env):
    return boto3.client("s3", endpoint_url=env["S3_ENDPOINT"], region_name="us-east-1",
                        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
                        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"])


def lake(env, tmp):
    """Every row of every object: {(topic, partition, offset): [what, …]}."""
    s3 = client(env)
    rows, objects = collections.defaultdict(list), 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=env["S3_BUCKET"],
                                                             Prefix=f"e2e/{RUN}/"):
        for o in page.get("Contents", []):
            key = o["Key"].removeprefix(f"e2e/{RUN}/")
            path = tmp / "lake" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(env["S3_BUCKET"], o["Key"], str(path))
            objects += 1
            kind, topic = key.split("/")[0].split("=")
            day = key.split("/")[1].removeprefix("dt=")
            start, end = map(int, path.stem.split("+")[-1].split("-"))
            partition = int(path.stem.split("+")[-2])
            f = pq.ParquetFile(path)
            assert int(f.metadata.metadata[b"sendmill.rows"]) == f.metadata.num_rows, key
            raw = kind == "rejected" or topic == RAW
            for r in f.read().to_pylist():
                offset = r["offset" if raw else "_offset"]
                when = r["timestamp" if raw else "_timestamp"]
                assert start <= offset < end and when.strftime("%Y-%m-%d") == day, (key, r)
                assert (r["partition" if raw else "_partition"]) == partition, (key, r)
                rows[topic, partition, offset].append((kind, r))
    return rows, objects


def audit(env):
    """`sendmill audit` of this run: (exit code, findings, sum)."""
    done = subprocess.run([Path(PROGRAM).parent / "sendmill", "audit", "--s3-prefix",
                           f"e2e/{RUN}/", "-o", "json"], env={**os.environ, **env},
                          capture_output=True, text=True, timeout=120)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    if not said:
        return done.returncode, [{"fault": done.stderr, "object": ""}], {}
    return done.returncode, [x for x in said if x["kind"] == "finding"], said[-1]


def check_audit(env, records):
    """It agrees; and an object that goes away, or stands under another range, is named."""
    s3 = client(env)
    code, findings, total = audit(env)
    bad = [f"audit: {f}" for f in findings]
    if code or total.get("rows", 0) + total.get("rejected", 0) != records:
        bad.append(f"audit: exit {code}, {total}, {records} records were sent")
    keys = [o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(
        Bucket=env["S3_BUCKET"], Prefix=f"e2e/{RUN}/topic={RAW}/") for o in page["Contents"]]
    victim = rnd.choice(keys)
    bytes_ = s3.get_object(Bucket=env["S3_BUCKET"], Key=victim)["Body"].read()
    folder, start, end = re.fullmatch(r"(.*\+)(\d+)-(\d+)\.parquet", victim).groups()
    copy = f"{folder}{int(end) + 10**6}-{2 * int(end) - int(start) + 10**6}.parquet"
    for what, change, back in (
            ("copied", lambda: s3.put_object(Bucket=env["S3_BUCKET"], Key=copy, Body=bytes_),
             lambda: s3.delete_object(Bucket=env["S3_BUCKET"], Key=copy)),
            ("deleted", lambda: s3.delete_object(Bucket=env["S3_BUCKET"], Key=victim),
             lambda: s3.put_object(Bucket=env["S3_BUCKET"], Key=victim, Body=bytes_))):
        change()
        code, findings, _ = audit(env)
        back()
        named = [f for f in findings if (copy if what == "copied" else victim) in
                 (f["object"], f["detail"].split()[-1])]
        hole = [f for f in findings if f["fault"] == "gap" and what == "deleted" and
                (f["start"], f["end"]) == (int(start), int(end))]
        first_or_last = what == "deleted" and not findings
        if not (named or hole or first_or_last) or (code != 1 and not first_or_last):
            bad.append(f"audit, {what} {victim}: exit {code}, {findings}")
    return bad


def check(rows):
    bad = []
    for place, i in load.sent.items():
        got = rows.pop(place, [])
        why, raw = load.why[i], place[0] == RAW
        if len(got) != 1:
            bad.append(f"{place} (record {i}) is there {len(got)} times")
            continue
        kind, r = got[0]
        want = "rejected" if why and not raw else "topic"
        if kind != want:
            bad.append(f"{place} is {kind}, {want} was wanted ({why})")
        elif raw or why:
            if r["headers"] != [{"key": "n", "value": str(i).encode()}] or r["key"] != f"k{i}".encode():
                bad.append(f"{place}: {r}")
        elif r["id"] != f"m{i}" or len(r["tags"]) != i % 4 or r["at"].timestamp() * 1e6 < 1.79e15:
            bad.append(f"{place}: {r}")
    bad += [f"{place} was never acknowledged" for place in rows]
    return bad


def main():
    global load
    name, env = environment()
    own = "SINK_E2E_INSTANCE" not in os.environ
    tmp = Path(tempfile.mkdtemp(prefix="sink-e2e-"))
    sinks, code = [], 1
    try:
        admin = AdminClient({"bootstrap.servers": env["BROKERS"]})
        for f in admin.create_topics([NewTopic(t, PARTITIONS, 1) for t in (EVENTS, RAW)]).values():
            f.result(30)
        ids = [register(env, f"{EVENTS}-value", s) for s in (V1, V2)]
        load = Load(env, ids)
        sinks = [Sink(env, n, tmp) for n in range(SINKS)]
        end, acts = time.monotonic() + SECONDS, iter(())
        while time.monotonic() < end:
            load.burst(rnd.randrange(20, 120))
            time.sleep(.1)
            if next(acts, None) is None:
                acts = fault(sinks, name)
            for s in sinks:
                s.tend()
        for _ in acts:
            time.sleep(.05)
        load.end()
        end = time.monotonic() + 90
        while not caught_up(env):
            if time.monotonic() > end:
                raise SystemExit(f"the sinks did not catch up; logs in {tmp}")
            for s in sinks:
                s.tend()
            time.sleep(.5)
        codes = [s.end() for s in sinks]
        rows, objects = lake(env, tmp)
        bad = check(rows)
        con = duckdb.connect()
        con.execute("set timezone='UTC'")
        n, distinct = con.execute(
            f"select count(*), count(distinct (_partition, _offset)) from read_parquet("
            f"'{tmp}/lake/topic={EVENTS}/*/*.parquet', union_by_name=true, hive_partitioning=true)"
        ).fetchone()
        if n != distinct:
            bad.append(f"DuckDB: {n} rows, {distinct} places")
        if codes != [0] * SINKS:
            bad.append(f"exit codes {codes}")
        bad += check_audit(env, len(load.sent))
        print("\n".join(bad[:20]))
        print(f"sink: records {len(load.sent)}, objects {objects}, faults {dict(counts)}, "
              f"seed {SEED}: {'ok' if not bad else f'{len(bad)} FAULTS, see {tmp}'}")
        code = 1 if bad else 0
        if not bad:
            shutil.rmtree(tmp)
    finally:
        for s in sinks:
            if s.proc.poll() is None:
                s.proc.kill()
                s.proc.wait()
        if own:
            subprocess.run([LOCAL / "down", "--name", name, "--wipe"], capture_output=True)
    return code


counts = collections.Counter()
load = None
if __name__ == "__main__":
    sys.exit(main())
