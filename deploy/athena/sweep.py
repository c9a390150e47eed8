"""sweep.py: dead letters of the lake that can be read by now become rows of mail.events.

    spark-submit sweep.py --lake s3a://lake/ --registry http://registry:8081 [--from DAY] [--to DAY] [--dry-run]

Letters are the raw files topic=mail.dlq (stages unpack and enrich) and rejected=mail.events (what
the sink could not read). Each is decoded by the registry's schemas of today and the rules of
letters.py, joined to its mail by topic=mail.ledger, and written beside the sink's files:

    topic=mail.events/dt=DAY/swept+mail.dlq+TOPIC_ID+PARTITION+LETTER_DAY+START-END.parquet

with the letter's place in _topic, _partition, _offset. START-END is a block of BLOCK offsets, so a
name is a function of the letters' places alone. A file is read, added to, and put back on the
condition that nobody else did meanwhile (If-Match): a second run adds nothing, and of two runs at
once neither loses a row nor writes one twice. A row that the pipeline has (redriven before the
sweep) is not written. swept=mail.dlq/dt=LETTER_DAY/ says of each letter what became of it, or why
it was left. Nothing of the sink's is read but rows, nothing of its files is ever changed.
"""
import argparse
import io
import json
import os
import sys
import urllib.error
import urllib.request
from datetime import date, datetime, timedelta
from pathlib import Path

import boto3
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import ClientError
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.window import Window

sys.path.insert(0, str(Path(__file__).resolve().parent))
import letters  # noqa: E402

BLOCK = 100_000  # offsets of a partition whose letters share a file: what one task holds in memory
PLACE = ["topic", "topic_id", "partition", "offset"]
UNIT = ["topic", "topic_id", "partition", "day", "block"]  # letters that are done together
LETTER = pa.schema([("topic", pa.string()), ("topic_id", pa.string()), ("partition", pa.int32()),
                    ("offset", pa.int64()), ("day", pa.date32()), ("block", pa.int64()),
                    ("stage", pa.string()), ("failed_with", pa.string())])
ORIGIN = [("_topic", pa.string()), ("_partition", pa.int32()), ("_offset", pa.int64())]
REPORT = pa.schema([f for f in LETTER if f.name not in ("day", "block")] +
                   [pa.field("state", pa.string()), pa.field("rows", pa.int64()),
                    pa.field("why", pa.string())])


# ---- the registry ----

class Registry:
    """Schemas of a Confluent-compatible registry."""

    def __init__(self, url: str):
        self.url = url.rstrip("/")

    def get(self, path: str) -> dict | None:
        try:
            with urllib.request.urlopen(self.url + path, timeout=30) as answer:
                return fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
        except urllib.error.HTTPError as e:
            if e.code == 404:
                return None
            raise

    def latest(self, topic: str) -> dict:
        schema = self.get(f"/subjects/{topic}-value/versions/latest")
        if schema is None:
            raise SystemExit(f"sweep: the registry has no {topic}-value")
        return schema

    def schemas(self, ids: list[int], instead: dict[int, int], events: str) -> letters.Schemas:
        return letters.Schemas(
            {i: self.get(f"/schemas/ids/{instead.get(i, i)}") for i in ids},
            self.latest("mail.callbacks"), self.latest("mail.callbacks.events"), self.latest(events))


# ---- objects, by compare and swap ----

class Store:
    """One bucket; made anew where it is used, as a client does not travel to the executors."""

    def __init__(self, lake: str, endpoint: str | None):
        self.bucket, _, self.prefix = lake.split("://", 1)[1].strip("/").partition("/")
        self.prefix += "/" if self.prefix else ""
        self.endpoint = endpoint

    def client(self):
        return boto3.client("s3", endpoint_url=self.endpoint)

    def get(self, s3, key: str) -> tuple[pa.Table | None, dict]:
        """The object's rows, and the condition under which it may be replaced."""
        try:
            answer = s3.get_object(Bucket=self.bucket, Key=self.prefix + key)
        except ClientError as e:
            if e.response["Error"]["Code"] not in ("NoSuchKey", "404"):
                raise
            return None, {"IfNoneMatch": "*"}
        return pq.read_table(io.BytesIO(answer["Body"].read())), {"IfMatch": answer["ETag"]}

    def put(self, s3, key: str, table: pa.Table, condition: dict) -> bool:
        """@return False: somebody else was there first"""
        out = io.BytesIO()
        pq.write_table(table, out, compression="zstd", version="2.6", write_page_index=True)
        try:
            s3.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=out.getvalue(), **condition)
            return True
        except ClientError as e:
            if e.response["ResponseMetadata"]["HTTPStatusCode"] not in (404, 409, 412):
                raise
            return False

    def add(self, key: str, rows: pa.Table) -> int:
        """Add those rows that the object does not have, by letter and event. @return how many"""
        s3 = self.client()
        while True:
            there, condition = self.get(s3, key)
            have = set(zip(*(there[c].to_pylist() for c in ("_offset", "event_id")))) if there else set()
            fresh = []
            for i, place in enumerate(zip(rows["_offset"].to_pylist(), rows["event_id"].to_pylist())):
                if place not in have:
                    have.add(place)
                    fresh.append(i)
            if not fresh:
                return 0
            table = rows.take(fresh)
            if there:
                table = pa.concat_tables([there, table], promote_options="default")
            table = table.sort_by([("_offset", "ascending"), ("event_id", "ascending")])
            if self.put(s3, key, table, condition):
                return len(fresh)


def file_name(key: dict) -> str:
    start = key["block"] * BLOCK
    return (f"swept+{key['topic']}+{key['topic_id']}+{key['partition']}+{key['day']}"
            f"+{start}-{start + BLOCK}.parquet")


# ---- what is read ----

# Columns that are read, and no others: named here, so that no footer is opened to find them out.
RAW = """value binary, headers array<struct<key: string, value: binary>>, partition int, offset bigint,
         reason string, dt date"""
LEDGER = """message_id string, kind string, outcome string, attempt int, at timestamp, provider_id string,
            request_id string, tenant string, categories array<string>, metadata map<string, string>,
            accepted_at timestamp"""


def table(spark: SparkSession, path: str, columns: str) -> DataFrame | None:
    """A topic's files; None where there are none."""
    try:
        return spark.read.schema(columns).parquet(path)
    except AnalysisException as e:
        if e.getCondition() == "PATH_NOT_FOUND":
            return None
        raise


def header(name: str) -> Column:
    """NULL where the record has no such header: anybody may write to the topic."""
    return F.get(F.filter("headers", lambda h: h["key"] == name), 0)["value"].cast("string")


def read_letters(spark: SparkSession, args) -> DataFrame | None:
    """Raw records of the days asked for, each once: while compaction is at work, a record may stand
    in a file and in the one that it was merged into."""
    sources = [(f"topic={args.letters}", args.letters, F.coalesce(header("mill.stage"), F.lit("")),
                header("__connect.errors.exception.message")),
               (f"rejected={args.events}", args.events, F.lit(None).cast("string"), F.col("reason"))]
    found = []
    for folder, topic, stage, failed_with in sources:
        raw = table(spark, args.lake + folder, RAW)
        if raw is None:
            continue
        name = F.url_decode(F.replace(F.col("_metadata.file_name"), F.lit("+"), F.lit("%2B")))
        found.append(raw.where(F.col("dt").between(F.lit(args.first), F.lit(args.last))).select(
            F.lit(topic).alias("topic"),
            F.regexp_extract(name, r"\+([A-Za-z0-9_-]+)\+\d+\+\d+-\d+\.parquet$", 1).alias("topic_id"),
            "partition", "offset", F.col("dt").alias("day"),
            F.floor(F.col("offset") / BLOCK).alias("block"), stage.alias("stage"),
            failed_with.alias("failed_with"), "value"))
    if not found:
        return None
    every = found[0] if len(found) == 1 else found[0].unionByName(found[1])
    return every.where("topic_id <> ''").dropDuplicates(PLACE)


def schema_ids(raw: DataFrame) -> list[int]:
    framed = raw.where("length(value) >= 5 and substring(value, 1, 1) = X'00'")
    number = F.conv(F.hex(F.substring("value", 2, 4)), 16, 10).cast("int")
    return sorted(r[0] for r in framed.select(number).distinct().collect())


# ---- what is made of it ----

def decode(raw: DataFrame, schemas: letters.Schemas) -> DataFrame:
    """One row an event, with its letter's place; one with `why` for a letter that holds none."""
    event = letters.arrow_type(schemas.event)
    schema = pa.schema([*LETTER, pa.field("why", pa.string()), *event])

    def batches(parts):
        for part in parts:
            rows = []
            for letter in part.to_pylist():
                value = letter.pop("value")
                try:
                    rows += [{**letter, **e} for e in letters.events(letter["stage"], value, schemas)]
                except letters.Left as e:
                    rows.append({**letter, "why": str(e)})
            yield pa.RecordBatch.from_pylist(rows, schema)

    return raw.mapInArrow(batches, from_arrow_schema(schema))


def join_mail(rows: DataFrame, ledger: DataFrame | None) -> DataFrame:
    """What enrich takes from mail.ledger: of a message's calls the accepted one, else the last."""
    if ledger is None:
        return rows
    accepted = F.expr("kind = 'EVIDENCE' or (kind = 'OUTCOME' and outcome = 'ACCEPTED')")
    order = Window.partitionBy("message_id").orderBy(accepted.desc(), F.desc("attempt"), F.desc("at"))
    mail = (ledger.where("attempt >= 1 and kind not in ('CLAIM', 'DOUBT')")
            .join(rows.where("not matched").select("message_id").distinct(), "message_id", "left_semi")
            .withColumn("n", F.row_number().over(order)).where("n = 1")
            .select("message_id", F.struct("request_id", "tenant", "categories", "metadata", "provider_id",
                                           "accepted_at").alias("mail")))
    passed = F.expr("greatest(0L, timestampdiff(MILLISECOND, mail.accepted_at, occurred_at))")
    found = F.col("mail").isNotNull() & ~F.col("matched")
    joined = rows.join(mail, "message_id", "left").withColumn("found", found)
    new = {n: F.col(f"mail.{n}") for n in ("request_id", "tenant", "categories", "metadata")}
    new["provider_id"] = F.coalesce("provider_id", "mail.provider_id")
    new["latency_ms"] = F.when(F.unix_micros("mail.accepted_at") > 0, passed)
    for name, value in new.items():
        joined = joined.withColumn(name, F.when(F.col("found"), value).otherwise(F.col(name)))
    return joined.withColumn("matched", F.col("matched") | F.col("found")).drop("mail", "found")


def mark_known(rows: DataFrame, events: DataFrame | None) -> DataFrame:
    """known: the pipeline has written this event, so its letter was redriven."""
    if events is None:
        return rows.withColumn("known", F.lit(False))
    theirs = (events.where(~F.col("_metadata.file_name").startswith("swept")).select("event_id")
              .join(rows.select("event_id").distinct(), "event_id", "left_semi").distinct()
              .withColumn("known", F.lit(True)))
    return rows.join(theirs, "event_id", "left").fillna(False, ["known"])


# ---- what is written ----

def write_events(rows: DataFrame, event: pa.DataType, store: Store, args) -> int:
    """@return rows that were not there before"""
    target = pa.schema([*event, *ORIGIN])
    at = F.date_trunc("hour" if args.hours else "day", F.col("received_at"))
    name = f"topic={args.events}"

    def write(key: tuple[pa.Scalar, ...], group: pa.Table) -> pa.Table:
        at, *unit = [k.as_py() for k in key]
        folder = f"{name}/dt={at:%Y-%m-%d}/" + (f"hour={at:%H}/" if args.hours else "")
        for column, _ in ORIGIN:
            group = group.append_column(column, group[column[1:]])
        n = store.add(folder + file_name(dict(zip(UNIT, unit))), group.select(target.names).cast(target))
        return pa.table({"n": pa.array([n], pa.int64())})

    done = rows.where("why is null and not known").withColumn("at", at)
    return sum(r.n for r in done.groupBy("at", *UNIT).applyInArrow(write, "n long").collect())


def summary(rows: DataFrame) -> DataFrame:
    """One row a letter: swept (its rows stand in the lake now), known, or left, and why."""
    swept = F.sum(F.expr("int(why is null and not known)"))
    return rows.groupBy(*LETTER.names).agg(swept.alias("rows"), F.first("why").alias("why")).withColumn(
        "state", F.expr("case when why is not null then 'left' when rows > 0 then 'swept' else 'known' end")
    ).withColumn("why", F.expr("case when state = 'known' then 'the pipeline has all its events' else why end"))


def write_report(report: DataFrame, store: Store) -> None:
    def write(key: tuple[pa.Scalar, ...], group: pa.Table) -> pa.Table:
        unit = dict(zip(UNIT, [k.as_py() for k in key]))
        path = f"swept={unit['topic']}/dt={unit['day']}/{file_name(unit)}"
        store.put(store.client(), path, group.select(REPORT.names).cast(REPORT).sort_by("offset"), {})
        return pa.table({"n": pa.array([group.num_rows], pa.int64())})

    report.groupBy(*UNIT).applyInArrow(write, "n long").collect()


def sweep(spark: SparkSession, args) -> dict[str, int]:
    """@return letters by state; rows: those that were written; never more than once"""
    for module in (letters.__file__, __file__):
        spark.sparkContext.addPyFile(module)
    raw = read_letters(spark, args)
    if raw is None:
        return {"rows": 0}
    raw = raw.persist()
    schemas = Registry(args.registry).schemas(schema_ids(raw), dict(args.schema), args.events)
    rows = join_mail(decode(raw, schemas), table(spark, f"{args.lake}topic={args.ledger}", LEDGER))
    rows = mark_known(rows, table(spark, f"{args.lake}topic={args.events}", "event_id string")).persist()
    report = summary(rows)
    store = Store(args.lake, args.s3_endpoint)
    counts = {"rows": 0}
    for r in report.groupBy("state", "why").count().orderBy(F.desc("count")).collect():
        counts[r.state] = counts.get(r.state, 0) + r["count"]
        if r.state == "left":
            print(f"left {r['count']:>8}  {r.why}")
    if not args.dry_run:
        counts["rows"] = write_events(rows, letters.arrow_type(schemas.event), store, args)
        write_report(report, store)
    rows.unpersist()
    raw.unpersist()
    return counts


# ---- the command ----

def day(text: str) -> date:
    return datetime.strptime(text, "%Y-%m-%d").date()


def pair(text: str) -> tuple[int, int]:
    a, b = text.split("=")
    return int(a), int(b)


def arguments(argv: list[str]) -> argparse.Namespace:
    ap = argparse.ArgumentParser(prog="sweep.py", description="Dead letters that can be read by now become rows "
                                 "of mail.events. May be run again, and by several at once.")
    ap.add_argument("--lake", required=True, help="s3a://BUCKET/PREFIX/ of the sink")
    ap.add_argument("--registry", required=True, help="URL of the schema registry")
    ap.add_argument("--from", dest="first", type=day, default=date(1970, 1, 1), metavar="DAY",
                    help="first day (UTC) on which letters were written: 2026-11-20; default: the lake's first")
    ap.add_argument("--to", dest="last", type=day, default=date(9999, 12, 31) - timedelta(1), metavar="DAY",
                    help="last such day, itself included")
    ap.add_argument("--dry-run", action="store_true", help="read and count, write nothing")
    ap.add_argument("--schema", type=pair, action="append", default=[], metavar="ID=ID",
                    help="a frame that names the first was written by the second: a producer's wrong schema id")
    ap.add_argument("--hours", action="store_true", help="mail.events lies by dt and hour (the sink's option hours)")
    ap.add_argument("--letters", default="mail.dlq", metavar="TOPIC", help="or mail.parked")
    ap.add_argument("--events", default="mail.events", metavar="TOPIC")
    ap.add_argument("--ledger", default="mail.ledger", metavar="TOPIC")
    ap.add_argument("--s3-endpoint", default=os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
                    metavar="URL", help="an S3 that is not Amazon's (default: AWS_ENDPOINT_URL)")
    args = ap.parse_args(argv)
    args.lake = args.lake.rstrip("/") + "/"
    return args


def session(args: argparse.Namespace) -> SparkSession:
    conf = {"spark.sql.session.timeZone": "UTC", "spark.sql.parquet.enableVectorizedReader": "true"}
    if args.s3_endpoint:
        conf |= {"spark.hadoop.fs.s3a.endpoint": args.s3_endpoint,
                 "spark.hadoop.fs.s3a.path.style.access": "true",
                 "spark.hadoop.fs.s3a.endpoint.region": os.environ.get("AWS_REGION", "us-east-1")}
    builder = SparkSession.builder.appName("sendmill-sweep")
    for name, value in conf.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def main(argv: list[str]) -> None:
    args = arguments(argv)
    spark = session(args)
    counts = sweep(spark, args)
    said = ", ".join(f"{counts.get(s, 0)} {s}" for s in ("swept", "known", "left"))
    print(f"sweep: letters {said}; {counts['rows']} rows written" + (" (dry run)" if args.dry_run else ""))
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
