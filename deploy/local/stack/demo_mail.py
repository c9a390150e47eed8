"""Sends two mails, one by HTTP and one by a Kafka producer, and follows them to the lake.

Runs in the Python environment of the cache, with the environment of `deploy/local/env`. It shares
no code with Sendmill: confluent-kafka writes and reads the topics, fastavro the records, DuckDB the
Parquet files. Exits 0 only when DuckDB read the rows of both mails."""
import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
import warnings

warnings.showwarning = lambda *_, **__: None  # of the libraries about each other

from confluent_kafka import Consumer, Producer, TopicPartition  # noqa: E402
from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: E402
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer  # noqa: E402
from confluent_kafka.serialization import MessageField, SerializationContext  # noqa: E402
import duckdb  # noqa: E402
from . import lake  # noqa: E402

TOPICS = ["mail.requests", "mail.messages", "mail.ledger", "mail.status", "mail.callbacks.events",
          "mail.events", "mail.dlq"]
FOLLOW_S, LAKE_S = 60, 90


def say(text: str = "") -> None:
    print(text, flush=True)


def post_mail() -> str:
    """POST one mail; returns its request id."""
    mail = {"from": "Sendmill demo <demo@example.com>", "to": "ada@example.org",
            "subject": "Hello by HTTP", "text": "This mail came in by HTTP.",
            "categories": ["demo"]}
    auth = base64.b64encode(os.environ["INGEST_AUTH"].encode()).decode()
    req = urllib.request.Request(
        os.environ["INGEST"] + "/v1/mail", json.dumps(mail).encode(), method="POST",
        headers={"Content-Type": "application/json", "Authorization": "Basic " + auth})
    try:
        with urllib.request.urlopen(req, timeout=30) as r:
            answer = json.load(r)
            say(f"POST {req.full_url}  →  {r.status} {json.dumps(answer)}")
            return answer["id"]
    except urllib.error.HTTPError as e:
        sys.exit(f"demo: POST was answered {e.code}: {e.read().decode(errors='replace')}")


def publish_mail(registry: SchemaRegistryClient) -> str:
    """Publish one request onto mail.requests as any service could; returns its request id. Fields
    that are left out take the defaults of the schema."""
    request_id = f"demo-{uuid.uuid4()}"
    schema = registry.get_latest_version("mail.requests-value").schema.schema_str
    value = {"request_id": request_id, "from": {"email": "demo@example.com", "name": "Sendmill demo"},
             "subject": "Hello by topic", "html": "<p>This mail came in by Kafka.</p>",
             "categories": ["demo"], "personalizations": [{"to": [{"email": "bob@example.org"}]}]}
    encode = AvroSerializer(registry, schema, conf={"auto.register.schemas": False,
                                                    "use.latest.version": True})
    producer = Producer({"bootstrap.servers": os.environ["BROKERS"], "partitioner": "murmur2_random"})
    failed = []
    producer.produce("mail.requests", key=request_id,
                     value=encode(value, SerializationContext("mail.requests", MessageField.VALUE)),
                     on_delivery=lambda err, _: failed.append(err) if err else None)
    if producer.flush(30) or failed:
        sys.exit(f"demo: publishing to mail.requests failed: {failed or 'no answer'}")
    say(f"published to mail.requests  →  {request_id}")
    return request_id


def describe(topic: str, v: dict) -> str:
    """One line of what a record says."""
    def people(rows):
        return ", ".join(r["email"] for r in rows)
    if topic == "mail.requests":
        return f"request by '{v['client']}', subject {v['subject']!r}, to " + \
            "; ".join(people(p["to"]) for p in v["personalizations"])
    if topic == "mail.messages":
        return f"valid: message {v['message_id']} to {people(v['to'])}"
    if topic == "mail.ledger":
        return f"{v['kind']} {v['outcome'] if v['kind'] == 'OUTCOME' else ''} " \
            f"attempt {v['attempt']} {v['provider']} {v['provider_id'] or ''}"
    if topic == "mail.status":
        return f"state {v['state']} {v['reason'] or ''}"
    if topic == "mail.callbacks.events":
        return f"{v['provider']} says {json.loads(v['raw']).get('event')}"
    if topic == "mail.events":
        return f"{v['type']} {v['recipient']} matched={v['matched']} latency {v['latency_ms']} ms"
    return json.dumps(v, default=str)[:120]


def request_of(topic: str, v: dict) -> str:
    return v.get("request_id") or str(v.get("message_id") or "").rsplit("/", 1)[0]


class Follower:
    """Reads the topics from a point in time on, and keeps what is about the given requests."""

    def __init__(self, registry: SchemaRegistryClient, since_ms: int):
        self.decode = AvroDeserializer(registry)
        self.consumer = Consumer({"bootstrap.servers": os.environ["BROKERS"],
                                  "group.id": f"demo-{uuid.uuid4()}",
                                  "isolation.level": "read_committed",
                                  "enable.auto.commit": False})
        known = self.consumer.list_topics(timeout=10).topics
        start = [TopicPartition(t, p, since_ms) for t in TOPICS if t in known
                 for p in known[t].partitions]
        self.consumer.assign(self.consumer.offsets_for_times(start, timeout=10))
        self.seen: dict[str, list[tuple]] = {}

    def poll(self) -> None:
        m = self.consumer.poll(0.5)
        if m is None or m.error():
            return
        if m.topic() == "mail.dlq":
            headers = {k: (v or b"").decode(errors="replace") for k, v in m.headers() or []}
            v, about = headers, (m.key() or b"").decode(errors="replace").split("/")[0]
        else:
            v = self.decode(m.value(), SerializationContext(m.topic(), MessageField.VALUE))
            about = request_of(m.topic(), v)
        self.seen.setdefault(about, []).append((m.timestamp()[1], m.topic(), m.partition(),
                                                m.offset(), v))

    def until(self, done, limit_s: int) -> bool:
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if done():
                return True
            self.poll()
        return done()


def print_way(rows: list[tuple]) -> None:
    rows = sorted(rows, key=lambda r: (r[0], TOPICS.index(r[1])))
    for at, topic, partition, offset, v in rows:
        say(f"  +{(at - rows[0][0]) / 1000:6.3f} s  {topic + f'/{partition}/{offset}':<32}"
            f"{describe(topic, v)}")


def read_lake(ids: list[str]) -> bool:
    """Wait until each mail's events stand in the lake, and show them."""
    con = lake.connect()
    events = f"read_parquet('{lake.files('mail.events')}', hive_partitioning = true, " \
             "union_by_name = true)"
    end, told = time.monotonic() + LAKE_S, 0.0
    found = 0
    while time.monotonic() < end:
        try:
            found = con.execute(f"SELECT count(DISTINCT request_id) FROM {events} WHERE request_id "
                                "IN (?, ?)", ids).fetchone()[0]
        except duckdb.IOException:
            pass  # no file yet
        if found == len(ids):
            con.sql(f"SELECT type, recipient, occurred_at, latency_ms, matched, message_id, dt "
                    f"FROM {events} WHERE request_id IN ($1, $2) ORDER BY occurred_at",
                    params=ids).show(max_width=180)
            return True
        if time.monotonic() - told > 10:
            say("  … the sink has not written them yet")
            told = time.monotonic()
        time.sleep(1)
    return False


def main() -> None:
    registry = SchemaRegistryClient({"url": os.environ["REGISTRY"]})
    follower = Follower(registry, int(time.time() * 1000) - 1000)
    ids = [post_mail(), publish_mail(registry)]

    def delivered(request_id):
        return any(topic == "mail.events" and str(v["type"]).upper() == "DELIVERED"
                   for _, topic, _, _, v in follower.seen.get(request_id, []))
    ok = follower.until(lambda: all(map(delivered, ids)), FOLLOW_S)
    follower.until(lambda: False, 2)  # what comes just after
    for what, request_id in zip(("HTTP", "topic"), ids):
        say(f"\nThe way of the mail that came by {what}, {request_id}:")
        print_way(follower.seen.get(request_id, []))
    with urllib.request.urlopen(os.environ["PROVIDER"] + "/calls", timeout=10) as r:
        calls = json.load(r)
    for request_id in ids:
        say(f"provider calls for {request_id}/0: {calls.get(request_id + '/0', 0)}")
    if not ok:
        sys.exit(f"demo: no 'delivered' event for both mails within {FOLLOW_S} s")
    say("\nIn the lake, as DuckDB reads it from S3:")
    if not read_lake(ids):
        sys.exit(f"demo: the lake does not have both mails' events after {LAKE_S} s")


if __name__ == "__main__":
    main()
