"""Analysts' tables and views in DuckDB and Spark, and the sweeper of dead letters, over S3."""
import argparse
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import time
import unittest
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

if "SPARK_HOME" not in os.environ or "PYSPARK_PYTHON" not in os.environ:
    print("skipped: no Spark, run deploy/local/setup spark")
    sys.exit(77)
if Path(sys.executable) != Path(os.environ["PYSPARK_PYTHON"]):
    os.execv(os.environ["PYSPARK_PYTHON"], [os.environ["PYSPARK_PYTHON"], *sys.argv])
ROOT = Path(__file__).resolve().parents[2]
ATHENA = ROOT / "deploy/athena"
sys.path.insert(0, str(ATHENA))

import boto3  # noqa: E402
import pyarrow as pa  # noqa: E402
import sqlglot  # noqa: E402

import lab  # noqa: E402
import letters  # noqa: E402
import sweep  # noqa: E402
import views  # noqa: E402

TOPICS = ["mail.requests", "mail.messages", "mail.status", "mail.ledger", "mail.events", "mail.dlq"]
QUICK = ["--master", "local[2]", "--conf", "spark.ui.enabled=false", "--conf", "spark.ui.showConsoleProgress=false", "--conf",
         "spark.sql.shuffle.partitions=1", "--conf",
         f"spark.sql.warehouse.dir={os.environ.get('TMPDIR', '/tmp')}", "--driver-java-options",
         "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"]  # a JVM that lives for seconds
NOW = datetime.now(timezone.utc)
RUN = str(time.time_ns())  # in all addresses and ids: a second run on the same stack has its own
NO_FRAME = f"no frame {RUN}".encode()


def told(i: int, **more) -> dict:
    """An event of SendGrid's that no mail of ours has."""
    return {"event": "bounce", "email": f"x{i}@{RUN}.example.org", "timestamp": int(time.time()) - i, "type": "bounce",
            "sg_event_id": f"sweep-{i}", "sg_message_id": f"{RUN}-{i}.x", "reason": "550 5.1.1 no such user", **more}


# What providers may post, strange things too: the pipeline and letters.py must make the same of each.
ODD = [("sendgrid", [told(i, **more) for i, more in enumerate([
            {}, {"event": "delivered", "response": "250 ok", "reason": ""}, {"event": "open", "sg_machine_open": True},
            {"event": "open", "sg_machine_open": "false", "ip": "192.0.2.1", "useragent": "Ü"},
            {"event": "click", "url": "https://example.org/ü?a=1"}, {"event": "spamreport"},
            {"event": "dropped", "bounce_classification": "Reputation"}, {"event": "group_unsubscribe", "asm_group_id": 7},
            {"event": "group_unsubscribe", "asm_group_id": "x"}, {"event": "group_resubscribe"},
            {"event": "GROUP_RESUBSCRIBE", "category": "one"}, {"category": ["a", 7, "b", ""]},
            {"timestamp": "1513299569"}, {"timestamp": 1513299569123}, {"timestamp": 1513299569.25},
            {"timestamp": -5}, {"timestamp": True}, {"email": 7}, {"event": None}, {"sg_message_id": ".x"},
            {"sg_message_id": None}, {"mill_message_id": "no id"}, {"type": "blocked", "reason": None},
            {"event": "open", "sg_machine_open": 2}, {"event": "new-thing"}], 1)]),
       *[("mailgun", {"signature": {}, "event-data": {"timestamp": time.time() - i, "id": f"mg-{i}", "recipient":
                      f"y{i}@{RUN}.example.org", "message": {"headers": {"message-id": f"<mg{i}@example.org>"}}, **more}})
         for i, more in enumerate([
            {"event": "accepted", "tags": ["t"]}, {"event": "delivered", "envelope": {"sending-ip": "192.0.2.7"}},
            {"event": "failed", "severity": "temporary", "delivery-status": {"message": "later"}},
            {"event": "failed", "severity": "permanent", "reason": "suppress-bounce"},
            {"event": "failed", "delivery-status": {"enhanced-code": "5.7.1", "description": "spam", "message": ""}},
            {"event": "failed", "delivery-status": {"bounce-code": "5.2.2"}, "reason": "bounce"},
            {"event": "rejected", "reject": {"reason": "too large"}},
            {"event": "opened", "client-info": {"bot": "apple", "user-agent": "x"}},
            {"event": "opened", "client-info": {"bot": ""}}, {"event": "clicked", "url": "https://example.org"},
            {"event": "complained"}, {"event": "unsubscribed"}, {"event": 1, "message": []}], 1)]]


# What was said of a message, in this order (state, attempt), and how it stands: mill_status_stands' rule.
STANDS = [("VALID SENT1 DELIVERED1", "DELIVERED"), ("SENT1 VALID", "SENT"), ("SENT1 FAILED1", "FAILED"),
          ("FAILED1 RETRYING1", "RETRYING"), ("FAILED1 SENT2", "SENT"), ("SENT2 FAILED1", "SENT"),
          ("DELIVERED1 SENT1", "DELIVERED"), ("BOUNCED1 DELIVERED1", "DELIVERED"), ("SENT1 DUPLICATE", "SENT"),
          ("DUPLICATE", "DUPLICATE"), ("SENT1 DEAD_LETTER", "SENT"), ("VALID DEAD_LETTER", "DEAD_LETTER"),
          ("DEAD_LETTER VALID SENT1", "SENT"), ("VALID TOO_LATE", "VALID"), ("SENT1 UNKNOWN1 FAILED2", "FAILED")]


def duck(statement: str) -> list[tuple]:
    """In DuckDB, with the tables of lake ddl and the views in place."""
    return [tuple(r) for r in DUCK.execute(statement).fetchall()]


def connect_duck():
    os.environ.update(lab.ENV)
    db = lab.local_lake.connect()
    for topic in TOPICS:
        db.execute(lab.sendmill("lake", "ddl", topic, "--engine", "duckdb").stdout)
    for name in views.names():
        db.execute(views.statement(name, "duckdb"))
    return db


def start_spark(args):
    os.environ["PYSPARK_SUBMIT_ARGS"] = " ".join(f"'{a}'" for a in QUICK) + " pyspark-shell"
    spark = sweep.session(args)
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def plain(v):
    """Of one form whichever engine it comes from."""
    if isinstance(v, datetime):
        return v.astimezone(timezone.utc) if v.tzinfo else v.replace(tzinfo=timezone.utc)
    if isinstance(v, dict):
        return tuple(sorted(v.items()))
    return tuple(v) if isinstance(v, list) else v


def rows(found) -> Counter:
    return Counter(tuple(plain(v) for v in r) for r in found)


def audit() -> dict:
    """The last line of `sendmill audit`: the whole lake, in which the sink may be at work."""
    return json.loads(lab.sendmill("audit", "--json", check=False).stdout.splitlines()[-1])


def objects() -> dict[str, str]:
    """The sweeper's objects: name, ETag."""
    s3 = boto3.client("s3", endpoint_url=lab.ENV["S3_ENDPOINT"])
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=lab.ENV["S3_BUCKET"])
    return {o["Key"]: o["ETag"] for p in pages for o in p.get("Contents", []) if "/swept+" in o["Key"]}


class LakeQueries(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        os.environ.update(lab.ENV, TZ="UTC", SPARK_LOCAL_IP="127.0.0.1")
        time.tzset()
        lab.forget_calls()
        people = ["ann", "bounce", "open", "complaint", "deferred", "bob", "click", "ann2"]
        cls.mails = [lab.wait_for("a mail's 202", lambda i=i, p=p: cls._post(i, p)) for i, p in enumerate(people * 2)]
        cls.message = cls.mails[0]["message_ids"][0]
        cls.posts = [(p, json.dumps(body).encode()) for p, body in ODD]
        cls._post_oddities()
        cls._write_letters()
        cls.args = sweep.arguments(["--lake", f"s3a://{lab.ENV['S3_BUCKET']}", "--registry", lab.ENV["REGISTRY"],
                                    "--s3-endpoint", lab.ENV["S3_ENDPOINT"]])
        cls.spark = start_spark(cls.args)  # meanwhile the records come to the lake
        ids = {i for m in cls.mails for i in m["message_ids"]}
        odd = sum(len(b) if isinstance(b, list) else 1 for _, b in ODD)
        lab.wait_for("events of the mails in the lake", lambda: [(len(ids),)] == lab.lake(
            "select count(distinct message_id) from lake('mail.events') where type in ('DELIVERED', 'BOUNCED', "
            f"'COMPLAINED', 'OPENED') and message_id in {tuple(ids)}"), 120, 1)
        lab.wait_for("the odd events in the lake", lambda: (odd,) <= max(lab.lake(
            "select count(*) from lake('mail.events') where not matched and (recipient = '' or "
            f"recipient like '%@{RUN}.example.org')"), default=(0,)), 120, 1)
        lab.wait_for("the letters in the lake", lambda: cls._letters_there() == (12, 1), 120, 1)
        global DUCK
        DUCK = connect_duck()

    @classmethod
    def tearDownClass(cls):
        if getattr(cls, "spark", None):
            cls.spark.stop()

    @staticmethod
    def _post(i: int, who: str) -> dict | None:
        answer = lab.post(lab.mail(f"{who}+{i}@{'A' if i % 2 else 'b'}{RUN}.example.org"),
                          **{"Idempotency-Key": f"lake-queries-{RUN}-{i}"})
        return answer.json() if answer.status_code == 202 else None

    @classmethod
    def _post_oddities(cls):
        number = lab.register("mail.callbacks-value", lab.schema("callback"))
        lab.produce("mail.callbacks", [(None, lab.encode(number, lab.schema("callback"), {
            "provider": p, "received_at": NOW, "body": body})) for p, body in cls.posts])

    @classmethod
    def _write_letters(cls):
        """Written by schemas that the registry does not know yet: their producer was faster."""
        probe = {"type": "record", "name": f"Probe{time.time_ns()}", "fields": []}
        first = lab.register("lake.queries-value", probe) + 1
        cls.late = {first + i: {**lab.schema(name), "doc": f"late {time.time_ns()}"}
                    for i, name in enumerate(("callback_event", "callback", "event"))}
        one, post, event = cls.late.values()
        mine = told(900, mill_message_id=cls.message, event="click", url="https://example.org/late")
        lab.produce("mail.callbacks.events", [(b"k", lab.encode(first, one, {
            "provider": "sendgrid", "raw": json.dumps(e), "received_at": NOW})) for e in (mine, told(901))])
        lab.produce("mail.callbacks", [(None, lab.encode(first + 1, post, {
            "provider": "sendgrid", "received_at": NOW, "body": json.dumps([told(902), told(903)]).encode()}))])
        lab.produce("mail.events", [(b"k", lab.encode(first + 2, event, {
            "event_id": RUN, "provider": "sendgrid", "type": "OPENED", "recipient": told(904)["email"],
            "occurred_at": NOW, "received_at": NOW}))])
        lab.produce("mail.callbacks.events", [(b"k", NO_FRAME)])
        lab.produce("mail.requests", [(b"k", NO_FRAME)])

    @classmethod
    def _letters_there(cls) -> tuple[int, int]:
        """Letters: enrich 3, unpack 1, validate 1, suppress 1, and of each of the six records one of the
        sink's; rejected rows of mail.events: 1."""
        marks = [f"00{n:08X}" for n in cls.late] + [NO_FRAME.hex().upper()]
        where = " or ".join(f"starts_with(hex(value), '{m}')" for m in marks)
        dead = lab.lake(f"select count(*) from lake('mail.dlq') where {where}")
        files = lab.local_lake.files("mail.events").replace("topic=", "rejected=")
        rejected = lab.lake(f"select count(*) from read_parquet('{files}') where {where}")
        return (dead[0][0], rejected[0][0]) if dead and rejected else (0, 0)

    def test_1_each_engine_gets_a_statement_that_it_takes(self):
        for engine in ("athena", "trino"):
            for topic in [*TOPICS, "--rejected"]:
                words = [topic, "mail.events"] if topic[0] == "-" else [topic]
                text = lab.sendmill("lake", "ddl", "--engine", engine, *words).stdout
                parsed = sqlglot.parse(text.split("-- after")[0], read=engine)
                self.assertIsInstance(parsed[0], sqlglot.exp.Create, text)
                columns = {c.name for c in parsed[0].find_all(sqlglot.exp.ColumnDef)}
                self.assertIn("offset" if "dlq" in topic or "--" in topic else "request_id", columns, text)
            for name in views.names():
                self.assertIsInstance(sqlglot.parse_one(views.statement(name, engine), read=engine), sqlglot.exp.Create)

    def test_2_the_views_say_what_happened(self):
        request = self.mails[0]["id"]
        steps = duck(f"select source, what from timeline where request_id = '{request}' order by happened_at")
        for step in [("request", "ACCEPTED"), ("call", "INTENT"), ("call", "ACCEPTED"),
                     ("state", "SENT"), ("event", "DELIVERED")]:
            self.assertIn(step, steps)
        states = dict(duck("select request_id, state from request_status"))
        self.assertEqual(states[request], "DELIVERED")
        self.assertEqual(states[self.mails[1]["id"]], "BOUNCED")
        rates = {r[0]: r[1:] for r in duck("select domain, sum(mails), sum(bounced), sum(bounced) / sum(mails) "
                                           "from bounce_rate where domain like '%.example.org' group by domain")}
        self.assertEqual(rates[f"a{RUN}.example.org"], (8, 2, 0.25))
        self.assertEqual(rates[f"b{RUN}.example.org"][:2], (8, 0))
        truth = [r[0] for r in duck("select min(latency_ms) from mail_events where type = 'DELIVERED' and latency_ms "
                                    "is not null and provider = 'sendgrid' group by message_id, recipient order by 1")]
        found = duck("select sum(mails), max(p50_ms), max(longest_ms) from delivery_time where provider = 'sendgrid'")
        if len(duck("select day from delivery_time where provider = 'sendgrid'")) == 1:
            self.assertEqual(found, [(len(truth), truth[(len(truth) + 1) // 2 - 1], truth[-1])])
        letters_ = duck("select stage, class, reason from dead_letter where dt >= current_date - 1")
        self.assertIn("enrich", {r[0] for r in letters_})
        self.assertEqual(sum(r[0] for r in duck("select letters from dead_letter_day")),
                         duck("select count(*) from mail_dlq")[0][0])

    def test_2_the_state_is_the_one_that_stands(self):
        db = lab.duckdb.connect()
        db.execute("create table mail_status (request_id text, message_id text, tenant text, state text, class text, "
                   "reason text, provider text, attempt int, \"at\" timestamp)")
        for said, _ in STANDS:
            for i, (state, attempt) in enumerate(re.findall(r"([A-Z_]+)(\d?)", said)):
                db.execute("insert into mail_status values ('r', ?, '', ?, null, null, null, ?, ?)",
                           [said, state, int(attempt or 0), datetime(2026, 1, 1, 0, 0, i)])
        db.execute(views.statement("request_status", "duckdb"))
        self.assertEqual(dict(db.execute("select message_id, state from request_status").fetchall()), dict(STANDS))

    def test_3_letters_are_read_as_the_pipeline_reads_them(self):
        ours = [e for p, body in self.posts for e in letters.events("unpack", lab.encode(
            1, lab.schema("callback"), {"provider": p, "received_at": NOW, "body": body}), self._schemas())]
        names = sorted(set(ours[0]) - {"latency_ms", "metadata", "request_id", "tenant", "matched"})
        ids = tuple({e["event_id"] for e in ours})
        columns = ", ".join(f'"{n}"' for n in names)
        theirs = duck(f"select distinct {columns} from mail_events where event_id in {ids}")
        self.assertGreaterEqual(len(ids), 35)
        self.assertEqual(set(rows(theirs)), set(rows([[e[n] for n in names] for e in ours])))

    def _schemas(self) -> letters.Schemas:
        return letters.Schemas({1: letters.fastavro.parse_schema(lab.schema("callback"))},
                               *(lab.schema(n) for n in ("callback", "callback_event", "event")))

    def test_4_a_corrected_schema_makes_rows_of_letters(self):
        before, foreign = objects(), audit()["foreign"]  # of those who share the bucket
        with contextlib.redirect_stdout(io.StringIO()) as out:
            sweep.sweep(self.spark, argparse.Namespace(**{**vars(self.args), "dry_run": True}))
        self.assertIn(f"does not know schema {min(self.late)}", out.getvalue())
        self.assertEqual(objects(), before)
        for number, schema in self.late.items():
            self.assertEqual(lab.register(f"lake.queries.{schema['name']}-value", schema), number)
        said = self._submit()
        self.assertRegex(said, r"left +\d+  what validate failed on is no event")
        self.assertRegex(said, r"sweep: letters \d+ swept, \d+ known, \d+ left; \d+ rows written")
        global DUCK
        DUCK = connect_duck()  # the sweeper's files have columns more
        found = duck("select _topic, recipient, type, matched, request_id, tenant, latency_ms >= 0 from mail_events "
                     f"where _offset is not null and recipient like '%@{RUN}.example.org'")
        self.assertEqual(sorted(r[1] for r in found), [told(n)["email"] for n in range(900, 905)])
        self.assertEqual({r[1]: r[2:] for r in found}[told(900)["email"]],
                         ("CLICKED", True, self.message.split("/")[0], "demo", True))
        self.assertEqual(Counter(r[0] for r in found), {"mail.dlq": 4, "mail.events": 1})
        self._report()
        told_ = lab.wait_for("the audit to hold", lambda: (a := audit())["ok"] and a, 60, 2)
        self.assertEqual((told_["ok"], told_["foreign"], told_["swept"]), (True, foreign, len(objects())))

    def _report(self):
        """Each letter has its row, with what became of it."""
        files = f"s3://{lab.ENV['S3_BUCKET']}/swept=*/*/*.parquet"
        mine = " or ".join([f"d.value = '{NO_FRAME.decode()}'::blob",
                            *(f"hex(d.value) like '00{n:08X}%'" for n in self.late)])
        found = Counter(duck(
            f"select r.stage, r.state, r.rows, r.why from read_parquet('{files}') r join mail_dlq d on r.topic = "
            "'mail.dlq' and r.partition = d.partition and r.offset = d.offset "
            f"where d.timestamp >= timestamptz '{NOW.isoformat()}' and ({mine})"))
        frame = "its value does not begin with a frame"
        no_event = "what {} failed on is no event: see sendmill dlq redrive"
        sink = "the sink keeps it in rejected=TOPIC, where an event is swept from"
        self.assertEqual(found, {("enrich", "swept", 1, None): 2, ("unpack", "swept", 2, None): 1,
                                 ("enrich", "left", 0, frame): 1,
                                 ("validate", "left", 0, no_event.format("validate")): 1,
                                 ("suppress", "left", 0, no_event.format("suppress")): 1,
                                 ("sink-parquet", "left", 0, sink): 6})

    def _submit(self) -> str:
        """The command as an operator gives it."""
        done = subprocess.run(
            [f"{os.environ['SPARK_HOME']}/bin/spark-submit", *QUICK, ATHENA / "sweep.py", "--lake", self.args.lake,
             "--registry", self.args.registry, "--s3-endpoint", self.args.s3_endpoint],
            capture_output=True, text=True, timeout=600, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_5_runs_again_and_at_once_change_nothing(self):
        before = objects()
        with ThreadPoolExecutor(2) as pool:
            again = list(pool.map(lambda _: sweep.sweep(self.spark, self.args), range(2)))
        self.assertEqual([a["rows"] for a in again], [0, 0])
        self.assertGreaterEqual(again[0]["swept"], 4)
        self.assertEqual({k: v for k, v in objects().items() if k.startswith("topic=")},
                         {k: v for k, v in before.items() if k.startswith("topic=")})

    def test_6_of_writers_at_once_none_loses_a_row(self):
        store = sweep.Store(self.args.lake, self.args.s3_endpoint)
        key = f"swept=lake.queries/dt=1970-01-01/{uuid.uuid4()}.parquet"

        def add(i):  # rows i … i+9 of one letter each: each but the outermost comes from several writers
            return store.add(key, pa.table({"_offset": range(i, i + 10), "event_id": [str(n) for n in range(i, i + 10)]}))
        try:
            with ThreadPoolExecutor(8) as pool:
                self.assertEqual(sum(pool.map(add, range(8))), 17)
            self.assertEqual(store.get(store.client(), key)[0]["_offset"].to_pylist(), list(range(17)))
        finally:
            store.client().delete_object(Bucket=store.bucket, Key=store.prefix + key)

    def test_7_spark_finds_the_same_rows(self):
        for topic in TOPICS:
            create, repair = lab.sendmill("lake", "ddl", topic, "--engine", "spark").stdout.split("-- after each new day:")
            for one in (create, repair):
                self.spark.sql(one.strip().rstrip(";"))
        for name in views.names():
            self.spark.sql(views.statement(name, "spark"))
            with self.subTest(name):
                found = self.spark.table(name)
                columns = ", ".join(f'"{c}"' for c in found.columns)
                self.assertEqual(rows(found.collect()), rows(duck(f"select {columns} from {name}")))


if __name__ == "__main__":
    lab.main()
