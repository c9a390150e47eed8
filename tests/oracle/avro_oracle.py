"""fastavro judges our codec: avro_oracle.py AVRO_PIPE [ROUNDS [SEED]].

Each round takes one of our schemas, makes a random writer's version of it (fields dropped, added,
reordered, types narrowed or widened, enum symbols unknown to us), lets fastavro write random
records, and compares what fastavro reads by the two schemas with what our codec read and wrote
back. Then every released version against every other. Exit 77: no fastavro here."""
import copy
import io
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import fastavro
except ImportError:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = sorted(cache.glob("sendmill/venv/*/.complete"), key=lambda p: p.stat().st_mtime)
    if not found or os.environ.get("MILL_ORACLE_AGAIN"):
        print("skipped: no fastavro; deploy/local/setup installs it")
        sys.exit(77)
    python = str(found[-1].parent / "bin/python")
    os.execve(python, [python, *sys.argv], {**os.environ, "MILL_ORACLE_AGAIN": "1"})

ROOT = Path(__file__).resolve().parents[2]
RECORDS = 40
WORDS = ["", "a", "text", "é", "\U0001f600", "x" * 200, "a@b.example", "\0"]


def load(path: Path) -> dict:
    """Without logical types: fastavro would make datetimes of them."""
    def strip(node):
        if isinstance(node, list):
            return [strip(n) for n in node]
        if not isinstance(node, dict):
            return node
        if "logicalType" in node:
            return node["type"]
        return {k: strip(v) if k in ("type", "items", "values", "fields") else v
                for k, v in node.items()}
    return strip(json.loads(path.read_text()))


class Writer:
    """A random version of a schema, and random values of it."""

    def __init__(self, rnd: random.Random, schema: dict):
        self.rnd, self.extra, self.names = rnd, 0, {}
        self.schema = self.record(copy.deepcopy(schema))

    def maybe(self, p: float) -> bool:
        return self.rnd.random() < p

    def record(self, rec: dict) -> dict:
        # Not where a type is defined that a later field names.
        fields = [f for f in rec["fields"]
                  if not ("default" in f and self.maybe(0.15) and '"name"' not in json.dumps(f["type"]))]
        for f in fields:
            f["type"] = self.change(f["type"])
            f.pop("default", None)
        if self.maybe(0.5):
            fields = self.shuffled(fields)
        for _ in range(self.rnd.randrange(3)):
            fields.insert(self.rnd.randrange(len(fields) + 1),
                          {"name": f"extra{self.extra}", "type": self.new_type(2)})
            self.extra += 1
        rec["fields"] = fields
        return rec

    def shuffled(self, fields: list) -> list:
        """Definitions stay before the names that use them: Address is the one used twice."""
        fixed = [f for f in fields if "Address" in json.dumps(f["type"])]
        plain = [f for f in fields if f not in fixed]
        self.rnd.shuffle(plain)
        at = self.rnd.randrange(len(plain) + 1)
        return plain[:at] + fixed + plain[at:]

    def new_type(self, depth: int):
        self.extra += 1
        number = self.extra
        simple = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
        if not depth or self.maybe(0.5):
            return self.rnd.choice(simple)
        inner = self.new_type(depth - 1)
        if self.maybe(0.4):
            return {"type": "array", "items": inner}
        if self.maybe(0.4):
            return {"type": "map", "values": inner}
        if self.maybe(0.3):
            return {"type": "fixed", "name": f"Fixed{number}", "size": self.rnd.randrange(5)}
        return {"type": "record", "name": f"New{number}",
                "fields": [{"name": "f", "type": inner}]}

    def change(self, t):
        if isinstance(t, list) and t[0] == "null" and len(t) == 2:
            inner = self.change(t[1])
            t = t if isinstance(inner, list) else ["null", inner]
            if self.maybe(0.1):
                return t[1]
            if self.maybe(0.1):
                return t[::-1]
            if self.maybe(0.05):
                return t + ["double"]
        elif isinstance(t, dict):
            if t["type"] == "record":
                return self.record(t)
            if t["type"] == "enum":
                if self.maybe(0.5):
                    t["symbols"] = [s for s in t["symbols"] if self.maybe(0.8)] + ["NEWER"]
                    self.rnd.shuffle(t["symbols"])
                t.pop("default", None)
            for key in ("items", "values"):
                if key in t:
                    t[key] = self.change(t[key])
        elif t == "long" and self.maybe(0.2):
            return "int"
        elif t == "string" and self.maybe(0.1):
            return "bytes"
        elif t == "bytes" and self.maybe(0.2):
            return "string"
        elif t in ("string", "long") and self.maybe(0.05):
            return ["null", t]
        return t

    def value(self, t):
        rnd = self.rnd
        if isinstance(t, list):
            return self.value(rnd.choice(t))
        if isinstance(t, str) and t in self.names:
            t = self.names[t]
        kind = t["type"] if isinstance(t, dict) else t
        if isinstance(kind, (dict, list)):
            return self.value(kind)
        if isinstance(t, dict) and "name" in t:
            self.names[t["name"]] = self.names["sendmill." + t["name"]] = t
        few = range(rnd.choice([0, 0, 1, 3]))
        return {
            "null": lambda: None,
            "boolean": lambda: rnd.random() < 0.5,
            "int": lambda: rnd.choice([0, -1, 1 << 30, -(1 << 31), rnd.randrange(1000)]),
            "long": lambda: rnd.choice([0, -1, (1 << 63) - 1, -(1 << 63), rnd.randrange(1 << 50)]),
            "float": lambda: 1.5, "double": lambda: rnd.random(),
            "bytes": lambda: rnd.choice(WORDS).encode(),
            "string": lambda: rnd.choice(WORDS),
            "fixed": lambda: bytes(rnd.randrange(256) for _ in range(t["size"])),
            "enum": lambda: rnd.choice(t["symbols"]),
            "array": lambda: [self.value(t["items"]) for _ in few],
            "map": lambda: {f"k{i}": self.value(t["values"]) for i in few},
            "record": lambda: {f["name"]: self.value(f["type"]) for f in t["fields"]},
        }[kind]()


def write(parsed, value) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parsed, value)
    return out.getvalue()


def read(body: bytes, writer, reader):
    """What fastavro reads; None where it refuses."""
    try:
        return fastavro.schemaless_reader(io.BytesIO(body), writer, reader)
    except (fastavro.read.SchemaResolutionError, ValueError, TypeError, IndexError):
        return None


def through(pipe: str, name: str, writer: dict, bodies: list[bytes]) -> list:
    """Our codec's answers: bodies in our schema, None where it refuses; None = refused to learn."""
    with tempfile.NamedTemporaryFile("w", suffix=".avsc") as f:
        json.dump(writer, f)
        f.flush()
        out = subprocess.run([pipe, name, f.name], capture_output=True, timeout=60,
                             input=b"".join(struct.pack("<I", len(b)) + b for b in bodies))
    if out.returncode == 2:
        return None
    if out.returncode:
        raise SystemExit(f"avro_pipe: {out.returncode}: {out.stderr.decode()}")
    answers, at = [], 0
    while at < len(out.stdout):
        code, n = struct.unpack_from("<BI", out.stdout, at)
        answers.append(out.stdout[at + 5:at + 5 + n] if code == 0 else None)
        at += 5 + n
    return answers


def compare(pipe: str, writer: dict, reader: dict, values: list) -> tuple[int, int]:
    """@return records that both read alike, records that both refused; raises where they differ"""
    w, r = fastavro.parse_schema(copy.deepcopy(writer)), fastavro.parse_schema(copy.deepcopy(reader))
    bodies = [write(w, v) for v in values]
    want = [read(b, w, r) for b in bodies]
    got = through(pipe, reader["name"], writer, bodies)
    if got is None:
        if any(v is not None for v in want):
            raise SystemExit(f"we refuse a schema that fastavro reads by: {json.dumps(writer)}")
        return 0, len(bodies)
    alike = refused = 0
    for body, expected, answer in zip(bodies, want, got, strict=True):
        mine = None if answer is None else read(answer, r, r)
        if mine != expected:
            raise SystemExit(f"differs:\nwriter {json.dumps(writer)}\nbody {body.hex()}\n"
                             f"fastavro {expected}\nours     {mine}")
        alike += mine is not None
        refused += mine is None
    return alike, refused


def versions(pipe: str, rnd: random.Random) -> int:
    """Every released version and today's: what one wrote, the others read."""
    pairs = 0
    folders = [ROOT / "schemas", *sorted((ROOT / "tests/schemas").glob("v*"))]
    for name in sorted(p.name for p in folders[0].glob("*.avsc")):
        known = [load(d / name) for d in folders if (d / name).exists()]
        for writer in known:
            source = Writer.__new__(Writer)
            source.rnd, source.names = rnd, {}
            values = [source.value(writer) for _ in range(RECORDS)]
            for reader in known:
                w, r = fastavro.parse_schema(copy.deepcopy(writer)), \
                    fastavro.parse_schema(copy.deepcopy(reader))
                for v in values:
                    fastavro.schemaless_reader(io.BytesIO(write(w, v)), w, r)
                pairs += 1
            if compare(pipe, writer, known[0], values) != (RECORDS, 0):
                raise SystemExit(f"{name}: we refuse records of a released version")
    return pairs


def main() -> int:
    pipe, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 140
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 20240501
    schemas = [load(p) for p in sorted((ROOT / "schemas").glob("*.avsc"))]
    alike = refused = 0
    for i in range(rounds):
        rnd = random.Random(f"{seed}/{i}")
        schema = schemas[i % len(schemas)]
        writer = Writer(rnd, schema)
        try:
            a, n = compare(pipe, writer.schema, schema,
                           [writer.value(writer.schema) for _ in range(RECORDS)])
        except SystemExit as e:
            print(f"round {i} of seed {seed}: {e}")
            return 1
        alike, refused = alike + a, refused + n
    pairs = versions(pipe, random.Random(seed))
    print(f"{rounds} writers: {alike} records read alike, {refused} refused by both; "
          f"{pairs} pairs of versions")
    return 0 if alike > refused else 1


if __name__ == "__main__":
    sys.exit(main())
