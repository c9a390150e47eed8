"""deploy/athena/letters.py: which letters hold events, and why the others are left."""
import io
import json
import sys
import unittest
from datetime import datetime, timezone
from pathlib import Path

import fastavro
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "deploy/athena"))
import letters  # noqa: E402

AT = datetime(2026, 11, 21, 8, 57, 12, 345678, timezone.utc)
MAIL = "01a1fd52-e7b6-7018-8f00-c83adaad66b2/0"


def schema(name: str) -> dict:
    return fastavro.parse_schema(json.loads((ROOT / f"schemas/{name}.avsc").read_text()))


CALLBACK, ONE, EVENT = schema("callback"), schema("callback_event"), schema("event")
SCHEMAS = letters.Schemas({1: CALLBACK, 2: ONE, 3: EVENT, 4: None}, CALLBACK, ONE, EVENT)


def frame(number: int, writer: dict, record: dict) -> bytes:
    out = io.BytesIO(b"\0" + number.to_bytes(4, "big"))
    out.seek(5)
    fastavro.schemaless_writer(out, writer, record)
    return out.getvalue()


def post(provider: str, body: bytes) -> bytes:
    return frame(1, CALLBACK, {"provider": provider, "received_at": AT, "body": body})


def one(provider: str, raw: str, message_id: str | None = None) -> bytes:
    return frame(2, ONE, {"provider": provider, "received_at": AT, "raw": raw, "message_id": message_id})


DELIVERED = {"event": "delivered", "email": "ann@example.org", "timestamp": 1513299569,
             "sg_message_id": "abc.filter1", "sg_event_id": "e1", "mill_message_id": MAIL, "category": "news"}


class Events(unittest.TestCase):
    def test_an_event_of_enrich(self):
        row, = letters.events("enrich", one("sendgrid", json.dumps(DELIVERED)), SCHEMAS)
        self.assertEqual((row["type"], row["message_id"], row["provider_id"], row["categories"]),
                         ("DELIVERED", MAIL, "abc", ["news"]))
        self.assertEqual(row["occurred_at"], datetime(2017, 12, 15, 0, 59, 29, tzinfo=timezone.utc))
        self.assertEqual(row["received_at"], AT)
        self.assertEqual(set(row), {f["name"] for f in EVENT["fields"]})
        pa.RecordBatch.from_pylist([row], pa.schema(list(letters.arrow_type(EVENT))))

    def test_the_id_is_of_what_happened(self):
        told = [letters.events("enrich", one("sendgrid", json.dumps({**DELIVERED, **more})), SCHEMAS)[0]["event_id"]
                for more in ({}, {"sg_event_id": "e2", "timestamp": "1513299569"}, {"email": "bob@example.org"})]
        self.assertEqual(told[0], told[1])
        self.assertNotEqual(told[0], told[2])

    def test_a_post_has_any_number(self):
        body = json.dumps([DELIVERED, {**DELIVERED, "event": "bounce", "type": "blocked"}]).encode()
        rows = letters.events("unpack", post("sendgrid", body), SCHEMAS)
        self.assertEqual([(r["type"], r["bounce_class"]) for r in rows],
                         [("DELIVERED", None), ("BOUNCED", "blocked")])

    def test_no_time_is_the_time_of_the_post(self):
        row, = letters.events("enrich", one("smtp", '{"event": "refused", "reply": "550 5.1.1 no"}', MAIL), SCHEMAS)
        self.assertEqual((row["occurred_at"], row["type"], row["bounce_class"], row["message_id"]),
                         (AT, "BOUNCED", "Invalid Address", MAIL))

    def test_a_row_of_the_sink(self):
        record = {"event_id": "x", "provider": "sendgrid", "occurred_at": AT, "received_at": AT, "type": "OPENED"}
        row, = letters.events(None, frame(3, EVENT, record), SCHEMAS)
        self.assertEqual((row["event_id"], row["type"], row["tenant"]), ("x", "OPENED", None))

    def test_strange_fields_are_missing(self):
        told = {"event": 7, "email": ["x"], "timestamp": True, "category": [1, "a", ""], "url": "",
                "mill_message_id": "no id"}
        row, = letters.events("enrich", one("sendgrid", json.dumps(told)), SCHEMAS)
        self.assertEqual((row["type"], row["recipient"], row["occurred_at"], row["categories"], row["url"],
                          row["message_id"]), ("OTHER", "", AT, ["a"], None, None))


class Left(unittest.TestCase):
    CASES = [  # stage, value, part of the reason
        ("enrich", None, "no value"),
        ("enrich", b"not avro", "does not begin with a frame"),
        ("enrich", b"\0\0\0\0\4x", "does not know schema 4"),
        ("enrich", b"\0\0\0\0\5x", "does not know schema 5"),
        ("enrich", one("sendgrid", "{}")[:-4], "does not read as CallbackEvent"),
        ("enrich", one("sendgrid", "{}") + b"x", "bytes are left over"),
        ("enrich", post("sendgrid", b"[]"), "does not read as CallbackEvent"),
        ("enrich", one("pigeon", "{}"), "no rule for the provider 'pigeon'"),
        ("enrich", one("sendgrid", "[]"), "no JSON object"),
        ("enrich", one("sendgrid", '{"timestamp": NaN}'), "no JSON"),
        ("unpack", post("sendgrid", b"{}"), "no JSON array"),
        ("unpack", post("sendgrid", b'[{}, "x"]'), "no JSON object"),
        ("unpack", post("sendgrid", b"[]"), "holds no event"),
        ("unpack", post("mailgun", b"{}"), "no event-data"),
        ("unpack", post("smtp", b"{}"), "no rule for posts"),
        ("validate", one("sendgrid", "{}"), "validate failed on is no event"),
        ("", one("sendgrid", "{}"), "nobody failed on is no event"),
        ("sink-parquet", one("sendgrid", "{}"), "where an event is swept from"),
    ]

    def test_cases(self):
        for stage, value, why in self.CASES:
            with self.subTest(why), self.assertRaisesRegex(letters.Left, why):
                letters.events(stage, value, SCHEMAS)


if __name__ == "__main__":
    unittest.main()
