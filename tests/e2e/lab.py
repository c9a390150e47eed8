"""The running stack as the e2e tests see it: HTTP, topics, the provider double, the lake.

Shares no code with the pipeline: Avro is fastavro's, Kafka confluent-kafka's, SQL DuckDB's.
"""
import io
import json
import os
import re
import shlex
import subprocess
import sys
import time
import unittest
import uuid
from collections.abc import Callable
from pathlib import Path

import duckdb
import fastavro
import requests
from confluent_kafka import Consumer, Producer, TopicPartition

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "deploy/local"))
from stack import lake as local_lake  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
NAME = os.environ.get("MILL_E2E_NAME", "e2e")
BUILD = Path(os.environ.get("SENDMILL_BUILD", ROOT / "build/dev")).resolve()
SCHEMAS = ROOT / "schemas"


def local(command: str, *args: str, timeout: int = 300) -> str:
    """Run a command of deploy/local on the tests' instance."""
    done = subprocess.run([ROOT / "deploy/local" / command, "--name", NAME, *args], text=True,
                          capture_output=True, timeout=timeout, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} {args}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def state_dir() -> Path:
    """Where the instance keeps conf, logs and data."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    return base / "sendmill" / NAME


def sendmill(*args: str, check: bool = True) -> subprocess.CompletedProcess:
    """The operator's command on the tests' instance."""
    done = subprocess.run([BUILD / "bin/sendmill", *args], env={**os.environ, **ENV}, text=True,
                          cwd=ROOT, capture_output=True, timeout=120, check=False)
    if check and done.returncode:
        raise RuntimeError(f"sendmill {args}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def _environment() -> dict[str, str]:
    """What the environment names, else the tests' own instance."""
    if "INGEST" in os.environ and "MILL_E2E_NAME" not in os.environ:
        return dict(os.environ)
    words = shlex.split(local("env"))
    return dict(w.split("=", 1) for w in words if "=" in w)


ENV = _environment()
HTTP = requests.Session()
HTTP.auth = tuple(ENV["INGEST_AUTH"].split(":", 1))


def wait_for(what: str, probe: Callable, seconds: float = 60.0, every: float = 0.2):
    """Poll until probe() is truthy; its value, or an error that names what did not come."""
    until = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"{what}: not within {seconds:.0f} s (last: {value!r})")
        time.sleep(every)


def look_later(seconds: float, check: Callable) -> None:
    """Have check() run behind the module's last test, and not before so many seconds have passed: for
    what must not happen, and nobody needs to stand and wait for it."""
    until = time.monotonic() + seconds

    def look():
        time.sleep(max(0.0, until - time.monotonic()))
        check()
    unittest.addModuleCleanup(look)


def mail(to: str = "ann@example.org", **more) -> dict:
    return {"from": "shop@example.com", "to": to, "subject": "hi", "text": "hello", **more}


def post(body, path: str = "/v1/mail", timeout: float = 30.0, **headers) -> requests.Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HTTP.post(ENV["INGEST"] + path, data=data, timeout=timeout,
                     headers={"Content-Type": "application/json", **headers})


# ---- the provider double ----

def calls() -> dict[str, int]:
    return requests.get(ENV["PROVIDER"] + "/calls", timeout=10).json()


def posted_events() -> list[dict]:
    return requests.get(ENV["PROVIDER"] + "/events", timeout=30).json()


def forget_calls() -> None:
    requests.delete(ENV["PROVIDER"] + "/calls", timeout=10)


def behave(rules: dict | None) -> None:
    url = ENV["PROVIDER"] + "/behaviour"
    r = requests.put(url, json=rules, timeout=10) if rules else requests.delete(url, timeout=10)
    r.raise_for_status()


# ---- topics ----

def _registry(path: str, **kw):
    r = requests.request(kw.pop("method", "GET"), ENV["REGISTRY"] + path, timeout=20, **kw)
    r.raise_for_status()
    return r.json()


def register(subject: str, schema: dict) -> int:
    return _registry(f"/subjects/{subject}/versions", method="POST",
                     json={"schema": json.dumps(schema)})["id"]


_schemas: dict[int, dict] = {}


def decode(raw: bytes) -> dict:
    """A framed Avro value by the registry's schema."""
    number = int.from_bytes(raw[1:5], "big")
    if raw[:1] != b"\0":
        raise ValueError("no frame")
    if number not in _schemas:
        _schemas[number] = fastavro.parse_schema(
            json.loads(_registry(f"/schemas/ids/{number}")["schema"]))
    return fastavro.schemaless_reader(io.BytesIO(raw[5:]), _schemas[number])


def encode(number: int, schema: dict, record: dict) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), record)
    return b"\0" + number.to_bytes(4, "big") + out.getvalue()


def schema(name: str) -> dict:
    return json.loads((SCHEMAS / f"{name}.avsc").read_text())


def produce(topic: str, records: list[tuple[bytes | None, bytes | None]],
            partition: int | None = None, headers: dict[str, str] | None = None) -> None:
    """(key, value) records, waited for."""
    failed = []
    p = Producer({"bootstrap.servers": ENV["BROKERS"], "acks": "all",
                  "partitioner": "murmur2_random"})
    where = {} if partition is None else {"partition": partition}
    for key, value in records:
        p.produce(topic, key=key, value=value, headers=headers,
                  on_delivery=lambda e, m: e and failed.append(e), **where)
        p.poll(0)
    if p.flush(30) or failed:
        raise RuntimeError(f"produce to {topic}: {failed or 'not flushed'}")


def read(topic: str) -> list:
    """Every committed record of a topic, as confluent-kafka messages."""
    c = Consumer({"bootstrap.servers": ENV["BROKERS"], "group.id": "e2e-" + uuid.uuid4().hex,
                  "enable.auto.commit": False, "isolation.level": "read_committed",
                  # The end of a partition is told by an answer that has waited this long for more.
                  "enable.partition.eof": True, "fetch.wait.max.ms": 10})
    got, open_parts = [], set()
    for p in c.list_topics(topic, 10).topics[topic].partitions:
        open_parts.add(p)
    c.assign([TopicPartition(topic, p, 0) for p in open_parts])
    until = time.monotonic() + 60
    while open_parts and time.monotonic() < until:
        m = c.poll(0.5)
        if m is None:
            continue
        if m.error():
            open_parts.discard(m.partition())
        else:
            got.append(m)
    c.close()
    if open_parts:
        raise RuntimeError(f"{topic}: partitions {open_parts} not read to their end")
    return got


def headers(message) -> dict[str, str]:
    """Headers as text; a repeated name fails, as headers are replaced and never appended."""
    pairs = [(k, v.decode()) for k, v in message.headers() or []]
    if len(dict(pairs)) != len(pairs):
        raise AssertionError(f"repeated header in {pairs}")
    return dict(pairs)


def metric(url: str, name: str, label: str = "") -> float:
    """What a process says at its status port. @param label 'provider="smtp"': of the row that has it"""
    text = requests.get(url + "/metrics", timeout=5).text
    return float(re.search(rf"^{name}{{[^}}]*{label}[^}}]*}} (\S+)$", text, re.M)[1])


def dead_letters() -> list:
    return read("mail.dlq")


# ---- the lake ----

def lake(sql: str) -> list[tuple]:
    """DuckDB over S3; lake('TOPIC') in the statement names a topic's rows. No file yet: no rows."""
    os.environ.update(ENV)
    db = local_lake.connect()
    text = re.sub(r"\blake\('([^']+)'\)", lambda m: f"read_parquet('{local_lake.files(m.group(1))}', "
                  "hive_partitioning = true, union_by_name = true)", sql)
    try:
        return db.execute(text).fetchall()
    except duckdb.IOException as e:
        if "No files found" in str(e):
            return []
        raise
    finally:
        db.close()


def main() -> None:
    """Run the calling module's tests with names and timings shown."""
    unittest.main(module="__main__", verbosity=2, failfast=True)
