#!/usr/bin/env python3
"""Avro records, written by fastavro and turned into Parquet by connect/lake, must read back as the
same values with the right types. usage: values.py LAKE_WRITE [SEED]"""
import datetime as dt
import decimal
import io
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import duckdb
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

UTC = dt.timezone.utc
TMP = tempfile.TemporaryDirectory(prefix="lake-values-")
LAKE_WRITE = sys.argv[1]
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else 1


def run(schemas, records, meta="", drop="", **env):
    """records: (schema number, value or bytes) → (pyarrow table, file, refusal lines)"""
    tmp = Path(tempfile.mkdtemp(dir=TMP.name))
    paths = []
    for i, s in enumerate(schemas):
        paths.append(tmp / f"{i}.avsc")
        paths[-1].write_text(json.dumps(s))
    parsed = [fastavro.parse_schema(json.loads(json.dumps(s))) for s in schemas]
    data = []
    for number, value in records:
        body = value
        if not isinstance(value, bytes):
            out = io.BytesIO()
            fastavro.schemaless_writer(out, parsed[number], value)
            body = out.getvalue()
        data.append(struct.pack("<II", number, len(body)) + body)
    out = tmp / "out.parquet"
    p = subprocess.run([LAKE_WRITE, out, meta, drop, *paths], input=b"".join(data), capture_output=True,
                       env={**os.environ, **env})
    if p.returncode:
        raise SystemExit(f"lake_write: {p.returncode}: {p.stderr.decode()}")
    return pq.read_table(out), out, p.stdout.decode().splitlines()


ADDRESS = {"type": "record", "name": "Address", "namespace": "x", "fields": [
    {"name": "email", "type": "string"}, {"name": "name", "type": ["null", "string"]}]}
ALL = {"type": "record", "name": "All", "namespace": "x", "fields": [
    {"name": "b", "type": "boolean"}, {"name": "i", "type": "int"}, {"name": "l", "type": "long"},
    {"name": "f", "type": "float"}, {"name": "d", "type": "double"}, {"name": "by", "type": "bytes"},
    {"name": "s", "type": "string"}, {"name": "n", "type": "null"},
    {"name": "fx", "type": {"type": "fixed", "name": "Five", "size": 5}},
    {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["NONE", "SOFT", "HARD"]}},
    {"name": "date", "type": {"type": "int", "logicalType": "date"}},
    {"name": "tms", "type": {"type": "int", "logicalType": "time-millis"}},
    {"name": "tus", "type": {"type": "long", "logicalType": "time-micros"}},
    {"name": "tsms", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "tsus", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "lms", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
    {"name": "lus", "type": {"type": "long", "logicalType": "local-timestamp-micros"}},
    {"name": "dec", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3}},
    {"name": "wide", "type": {"type": "bytes", "logicalType": "decimal", "precision": 50, "scale": 5}},
    {"name": "fdec", "type": {"type": "fixed", "name": "D9", "size": 9, "logicalType": "decimal",
                              "precision": 20, "scale": 2}},
    {"name": "us", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "dur", "type": {"type": "fixed", "name": "Dur", "size": 12, "logicalType": "duration"}},
    {"name": "o", "type": ["null", "long"]}, {"name": "o2", "type": ["string", "null"]},
    {"name": "one", "type": ["int"]},
    {"name": "u", "type": ["null", "string", "long", ADDRESS]},
    {"name": "a", "type": {"type": "array", "items": "string"}},
    {"name": "aa", "type": {"type": "array", "items": {"type": "array", "items": ["null", "int"]}}},
    {"name": "to", "type": {"type": "array", "items": "Address"}},
    {"name": "m", "type": {"type": "map", "values": "string"}},
    {"name": "mr", "type": {"type": "map", "values": ["null", "Address"]}},
    {"name": "r", "type": {"type": "record", "name": "Sub", "fields": [
        {"name": "x", "type": "int"}, {"name": "deep", "type": ["null", "Address"]}]}},
    {"name": "or_", "type": ["null", "Sub"]},
    {"name": "empty", "type": ["null", {"type": "record", "name": "Nothing", "fields": []}]},
]}


def text(r):
    return "".join(r.choice("abcXYZ 0ä€😀") for _ in range(r.randrange(12)))


def address(r):
    return {"email": text(r), "name": r.choice([None, text(r)])}


def opt(r, f):
    return None if r.random() < 0.3 else f()


def row(r):
    day = dt.date(1970, 1, 1) + dt.timedelta(r.randrange(-3000, 30000))
    ms = dt.datetime.fromtimestamp(r.randrange(4 * 10**9), UTC).replace(
        microsecond=r.randrange(1000) * 1000)
    us = ms.replace(microsecond=r.randrange(10**6))
    sub = lambda: {"x": r.randrange(-99, 99), "deep": opt(r, lambda: address(r))}
    dec = lambda digits, scale: decimal.Decimal(
        r.randrange(-10**digits + 1, 10**digits)).scaleb(-scale, decimal.Context(prec=80))
    return {
        "b": r.random() < .5, "i": r.randrange(-2**31, 2**31), "l": r.randrange(-2**63, 2**63),
        "f": r.randrange(-1000, 1000) / 8, "d": r.random(), "by": r.randbytes(r.randrange(9)),
        "s": text(r), "n": None, "fx": r.randbytes(5), "e": r.choice(["NONE", "SOFT", "HARD"]),
        "date": day, "tms": ms.time(), "tus": us.time(), "tsms": ms, "tsus": us,
        "lms": ms.replace(tzinfo=None), "lus": us.replace(tzinfo=None),
        "dec": dec(12, 3), "wide": dec(50, 5), "fdec": dec(20, 2),
        "us": str(uuid.UUID(bytes=r.randbytes(16))), "dur": r.randbytes(12),
        "o": opt(r, lambda: r.randrange(9)), "o2": opt(r, lambda: text(r)), "one": r.randrange(9),
        "u": r.choice([None, text(r), r.randrange(99), address(r)]),
        "a": [text(r) for _ in range(r.randrange(4))],
        "aa": [[opt(r, lambda: r.randrange(9)) for _ in range(r.randrange(3))]
               for _ in range(r.randrange(3))],
        "to": [address(r) for _ in range(r.randrange(4))],
        "m": {text(r) + str(i): text(r) for i in range(r.randrange(4))},
        "mr": {str(i): opt(r, lambda: address(r)) for i in range(r.randrange(4))},
        "r": sub(), "or_": opt(r, sub), "empty": r.choice([None, {}]),
    }


def expected(v):
    """The row as it must come back."""
    v = dict(v)
    u = v["u"]
    v["u"] = None if u is None else {
        "string": u if isinstance(u, str) else None, "long": u if isinstance(u, int) else None,
        "Address": u if isinstance(u, dict) else None}
    v["m"], v["mr"] = list(v["m"].items()), list(v["mr"].items())
    v["empty"] = None if v["empty"] is None else True
    return v


def check(what, got, want):
    if got != want:
        raise SystemExit(f"{what} (seed {SEED}):\n got  {got!r}\n want {want!r}")


def all_types():
    r = random.Random(SEED)
    rows = [row(r) for _ in range(3000)]
    table, path, refused = run([ALL], [(0, v) for v in rows], meta="_offset,_timestamp,_key,_topic")
    check("refused", refused, [])
    got = table.to_pylist()
    check("rows", len(got), len(rows))
    for i, (g, v) in enumerate(zip(got, rows)):
        check("_offset", g.pop("_offset"), i)
        check("_key", g.pop("_key"), str(i).encode())
        check("_topic", g.pop("_topic"), "t")
        g.pop("_timestamp")
        for name, want in expected(v).items():
            check(f"row {i} {name}", g[name], want)
    types = {f.name: f.type for f in table.schema}
    nothing = pa.null()
    for name, want in {
            "tsus": pa.timestamp("us", "UTC"), "tsms": pa.timestamp("ms", "UTC"),
            "lus": pa.timestamp("us"), "_timestamp": pa.timestamp("us", "UTC"), "date": pa.date32(),
            "tms": pa.time32("ms"), "tus": pa.time64("us"), "e": pa.string(), "by": pa.binary(),
            "us": pa.string(), "dec": pa.decimal128(12, 3), "wide": pa.decimal256(50, 5),
            "n": nothing, "i": pa.int32(), "fx": pa.binary(5), "dur": pa.binary(12),
            "m": pa.map_(pa.string(), pa.field("value", pa.string(), nullable=False))}.items():
        check(f"type of {name}", types[name], want)
    check("nullable", [table.schema.field(n).nullable for n in ("s", "o", "o2", "r", "or_")],
          [False, True, True, False, True])
    names = pq.ParquetFile(path).schema
    check("element", any("to.list.element.email" == names.column(i).path
                         for i in range(len(names))), True)
    check("key_value", any("m.key_value.key" == names.column(i).path
                           for i in range(len(names))), True)
    return path


def footer(path):
    meta = pq.ParquetFile(path).metadata
    check("footer", meta.metadata[b"sendmill.topic"], b"t")
    col = meta.row_group(0).column(1)
    check("codec", col.compression, "ZSTD")
    check("statistics", col.is_stats_set and col.has_column_index and col.has_offset_index, True)


def thrift(b, at):
    """A struct in Thrift's compact form, of the types that page headers have: ({field: value}, end)"""
    def varint():
        nonlocal at
        n = shift = 0
        while True:
            n |= (b[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if b[at - 1] < 128:
                return n
    out, field = {}, 0
    while b[at]:
        kind, step = b[at] & 15, b[at] >> 4
        at += 1
        field = field + step if step else (lambda z: z >> 1 ^ -(z & 1))(varint())
        if kind in (1, 2):
            out[field] = kind == 1
        elif kind in (4, 5, 6):
            out[field] = (lambda z: z >> 1 ^ -(z & 1))(varint())
        elif kind == 8:
            n = varint()
            out[field], at = b[at:at + n], at + n
        elif kind == 12:
            out[field], at = thrift(b, at)
        else:
            raise SystemExit(f"page header: type {kind}")
    return out, at + 1


def pages(path, column):
    """(rows, bytes before compression) of each data page of a flat column."""
    b, out = path.read_bytes(), []
    meta = pq.ParquetFile(path).metadata
    for g in range(meta.num_row_groups):
        c = meta.row_group(g).column(meta.schema.names.index(column))
        at = c.dictionary_page_offset or c.data_page_offset
        end = at + c.total_compressed_size
        while at < end:
            head, at = thrift(b, at)
            at += head[3]
            data = head.get(5) or head.get(8)
            if data:
                out.append((data[1], head[2]))
    return out


def writer():
    """How files are written, as far as readers gain by it: pages, row groups, bloom filters."""
    r = random.Random(SEED)
    schema = {"type": "record", "name": "W", "fields": [
        {"name": "message_id", "type": "string"}, {"name": "n", "type": "long"},
        {"name": "text", "type": "string"}, {"name": "request_id", "type": "string"},
        {"name": "provider_id", "type": ["null", "string"]}]}
    rows = [(0, {"message_id": f"m{i}", "n": r.getrandbits(60), "text": r.randbytes(60).hex(),
                 "request_id": f"q{i}", "provider_id": f"p{i}"}) for i in range(45000)]
    _, path, _ = run([schema], rows)
    for column in ("n", "text"):
        of = pages(path, column)
        check(f"rows in the pages of {column}", sum(n for n, _ in of), len(rows))
        check(f"a page of {column} over 20,000 rows", [p for p in of if p[0] > 20000], [])
        check(f"a page of {column} over 1 MiB", [p for p in of if p[1] > (1 << 20) + (64 << 10)], [])
    check("pages of n", len(pages(path, "n")) >= 3, True)
    check("pages of text", max(size for _, size in pages(path, "text")) > 1 << 19, True)
    col = pq.ParquetFile(path).metadata.row_group(0).column(0)
    check("dictionary", "RLE_DICTIONARY" in pq.ParquetFile(run(
        [schema], [(0, {**rows[0][1], "text": "same"})] * 99)[1]).metadata.row_group(0).column(2).encodings, True)
    check("page index", col.has_column_index and col.has_offset_index, True)
    con = duckdb.connect()
    blooms = con.execute(f"select path_in_schema from parquet_metadata('{path}') "
                         "where bloom_filter_offset is not null order by 1").fetchall()
    check("bloom filters", blooms, [("message_id",), ("provider_id",), ("request_id",)])
    for value, out in (("m7", False), ("no such id", True)):
        check(f"bloom filter excludes {value}", con.execute(
            "select bool_and(bloom_filter_excludes) from parquet_bloom_probe(?, 'message_id', ?)",
            [str(path), value]).fetchone()[0], out)
    groups = lambda **env: (lambda m: [m.row_group(g).num_rows for g in range(m.num_row_groups)])(
        pq.ParquetFile(run([schema], rows, **env)[1]).metadata)
    check("one row group", groups(), [45000])
    check("row groups by rows", groups(LAKE_GROUP_ROWS="20000"), [20000, 20000, 5000])
    check("row groups by bytes", len(groups(LAKE_GROUP_BYTES=str(1 << 20))) >= 3, True)


def in_duckdb(path):
    con = duckdb.connect()
    con.execute("set timezone='UTC'")
    types = dict(con.execute(f"select column_name, column_type from (describe from '{path}')")
                 .fetchall())
    for name, want in {"tsus": "TIMESTAMP WITH TIME ZONE", "lus": "TIMESTAMP", "e": "VARCHAR",
                       "a": "VARCHAR[]", "m": "MAP(VARCHAR, VARCHAR)", "date": "DATE",
                       "dec": "DECIMAL(12,3)", "by": "BLOB",
                       "to": "STRUCT(email VARCHAR, \"name\" VARCHAR)[]"}.items():
        check(f"duckdb type of {name}", types[name], want)
    n, hard = con.execute(f"select count(*), count(*) filter (e = 'HARD') from '{path}'").fetchone()
    check("duckdb rows", (n, 0 < hard < n), (3000, True))


def versions():
    """Old and new writers interleaved: one file, every row, the new field null in old rows."""
    rec = lambda *fields: {"type": "record", "name": "R", "fields": [
        {"name": n, "type": t} for n, t in fields]}
    sub = lambda *fields: {"type": "record", "name": "S", "fields": [
        {"name": n, "type": t} for n, t in fields]}
    v1 = rec(("id", "string"), ("n", "int"), ("s", sub(("x", "int"))), ("gone", "string"))
    v2 = rec(("added", ["null", "string"]), ("id", "string"), ("n", "long"),
             ("s", sub(("y", "string"), ("x", "int"))), ("f", "double"))
    rows, want = [], []
    for i in range(2000):
        if i % 3:
            rows.append((0, {"id": str(i), "n": i, "s": {"x": i}, "gone": "g"}))
            want.append({"id": str(i), "n": i, "s": {"x": i, "y": None}, "gone": "g",
                         "added": None, "f": None})
        else:
            rows.append((1, {"added": "a", "id": str(i), "n": 2**40 + i, "s": {"y": "y", "x": i},
                             "f": .5}))
            want.append({"id": str(i), "n": 2**40 + i, "s": {"x": i, "y": "y"}, "gone": None,
                         "added": "a", "f": .5})
    table, _, refused = run([v1, v2], rows)
    check("refused", refused, [])
    check("versions", table.to_pylist(), want)


def dropped():
    table, _, _ = run([ALL], [(0, row(random.Random(SEED)))], drop="s,to.email,r.x,r.deep,mr,u")
    names = set(table.column_names)
    check("dropped", names & {"s", "mr", "u"}, set())
    check("dropped within", str(table.schema.field("to").type), "list<element: struct<name: string> not null>")
    check("all dropped", table.schema.field("r").type, pa.bool_())


def damaged():
    """Bytes that are no record are refused, and harm no row before or after."""
    r = random.Random(SEED)
    parsed = fastavro.parse_schema(json.loads(json.dumps(ALL)))
    records, good, bad = [], [], []
    for i in range(1500):
        v = row(r)
        if i % 2:
            out = io.BytesIO()
            fastavro.schemaless_writer(out, parsed, v)
            body = bytearray(out.getvalue())
            if i % 4 == 1:
                body = body[:r.randrange(len(body))]
            else:
                body += b"\0"
            records.append((0, bytes(body)))
            bad.append(i)
        else:
            records.append((0, v))
            good.append(expected(v))
    table, _, refused = run([ALL], records)
    check("refused", [int(line.split()[0]) for line in refused], bad)
    check("others", table.to_pylist(), good)
    # every wrong value of a kind of its own
    one = lambda t: {"type": "record", "name": "One", "fields": [{"name": "v", "type": t}]}
    for name, t, body in [
            ("no UTF-8", "string", b"\x04\xff\xfe"), ("boolean 2", "boolean", b"\x02"),
            ("branch", ["null", "int"], b"\x04"), ("negative length", "bytes", b"\x01"),
            ("huge count", {"type": "array", "items": "null"}, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            ("digits", {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 0}, b"\x02\x64"),
            ("33 bytes", {"type": "bytes", "logicalType": "decimal", "precision": 60, "scale": 0},
             b"\x42\x01" + bytes(32)),
            ("symbol", {"type": "enum", "name": "E", "symbols": ["A"]}, b"\x02")]:
        table, _, refused = run([one(t)], [(0, body)])
        check(name, (table.num_rows, len(refused)), (0, 1))


def our_schemas():
    """The pipeline's own records: every field a column, times in UTC, enums text, values the same."""
    from fastavro.utils import generate_many
    for file in sorted((Path(__file__).resolve().parents[2] / "schemas").glob("*.avsc")):
        schema = json.loads(file.read_text())
        rows = list(generate_many(fastavro.parse_schema(json.loads(file.read_text())), 100))
        table, _, refused = run([schema], [(0, r) for r in rows])
        check(f"{file.name}: refused", refused, [])
        check(f"{file.name}: columns", table.column_names, [f["name"] for f in schema["fields"]])
        for f in schema["fields"]:
            kind = f["type"] if isinstance(f["type"], dict) else {}
            if kind.get("logicalType") == "timestamp-micros":
                check(f["name"], table.schema.field(f["name"]).type, pa.timestamp("us", "UTC"))
            if kind.get("type") == "enum" or f["type"] == "string":
                check(f["name"], table.schema.field(f["name"]).type, pa.string())
                check(f["name"], table[f["name"]].to_pylist(), [r[f["name"]] for r in rows])


path = all_types()
footer(path)
writer()
in_duckdb(path)
versions()
dropped()
damaged()
our_schemas()
print(f"values: ok, seed {SEED}")
