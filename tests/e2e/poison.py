"""Records that cannot be done, straight on the topic: original bytes in the DLQ, and life goes on."""
import json
import unittest
import uuid

import lab


def minimal(request_id: str | None = None, to: str = "ann@example.org") -> dict:
    """What a foreign producer must fill, and nothing else."""
    record = {"from": {"email": "shop@example.com"}, "subject": "hi", "text": "hello",
              "personalizations": [{"to": [{"email": to}]}]}
    return record if request_id is None else {**record, "request_id": request_id}


class Poison(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = lab.schema("request")
        cls.number = lab.register("mail.requests-value", cls.schema)

    def encode(self, record: dict) -> bytes:
        return lab.encode(self.number, self.schema, record)

    def letter(self, key: bytes):
        return lab.wait_for(f"dead letter {key!r}", lambda: [
            m for m in lab.dead_letters() if m.key() == key], 60, 1)[0]

    def test_each_kind_ends_in_the_dlq_and_the_partition_moves_on(self):
        whole = self.encode(minimal())
        kinds = {
            "bad address": self.encode(minimal(to="not an address")),
            "unknown schema id": b"\0\x7f\xff\xff\xf0" + whole[5:],
            "truncated": whole[:-7],
            "no frame": b"plain text",
            "empty": b"",
            "header injection": self.encode({**minimal(), "headers": {"X-A": "b\r\nBcc: c@d.org"}}),
        }
        for name, value in kinds.items():
            with self.subTest(name):
                key, after = uuid.uuid4().hex.encode(), uuid.uuid4().hex
                lab.produce("mail.requests", [(key, value), (after.encode(),
                                                             self.encode(minimal(after)))], 2)
                m = self.letter(key)
                self.assertEqual(m.value() or b"", value)
                h = lab.headers(m)
                self.assertEqual(h["mill.class"], "poison")
                self.assertEqual(h["mill.stage"], "validate")
                self.assertEqual(h["__connect.errors.topic"], "mail.requests")
                self.assertEqual(h["__connect.errors.partition"], "2")
                self.assertTrue(h["__connect.errors.offset"].isdigit())
                self.assertTrue(h["__connect.errors.exception.message"])
                lab.wait_for("the mail behind it", lambda a=after: lab.calls().get(f"{a}/0"), 60)

    def test_null_value(self):
        key = uuid.uuid4().hex.encode()
        lab.produce("mail.requests", [(key, None)])
        self.assertIsNone(self.letter(key).value())

    def test_malformed_callback_is_a_dead_letter_of_unpack(self):
        schema = lab.schema("callback")
        number = lab.register("mail.callbacks-value", schema)
        key = uuid.uuid4().hex.encode()
        lab.produce("mail.callbacks", [(key, lab.encode(number, schema, {
            "provider": "sendgrid", "received_at": 1, "content_type": "application/json",
            "headers": {}, "body": b"[{broken"}))])
        self.assertEqual(lab.headers(self.letter(key))["mill.stage"], "unpack")

    def test_event_of_unknown_mail_is_kept_unmatched(self):
        schema = lab.schema("callback")
        number = lab.register("mail.callbacks-value", schema)
        event = {"email": "x@example.org", "timestamp": 1700000000, "event": "open",
                 "sg_event_id": uuid.uuid4().hex, "sg_message_id": "nobody.0",
                 "mill_message_id": f"{uuid.uuid4()}/0"}
        lab.produce("mail.callbacks", [(None, lab.encode(number, schema, {
            "provider": "sendgrid", "received_at": 1, "content_type": "application/json",
            "headers": {}, "body": json.dumps([event]).encode()}))])
        row = lab.wait_for("the unmatched event", lambda: [
            v for v in map(lambda m: lab.decode(m.value()), lab.read("mail.events"))
            if v["provider_event_id"] == event["sg_event_id"]], 120, 2)
        self.assertEqual(len(row), 1)
        self.assertFalse(row[0]["matched"])

    def test_a_wait_that_names_no_place(self):
        """Nobody waits for ever: a dead letter of where the mail came from, and a status that says so."""
        held, failed = (f"{uuid.uuid4().hex}/0" for _ in range(2))
        due = {"mill.due": "1"}
        lab.produce("mail.delay.1s", [(held.encode(), b"a mail")], headers=due)
        lab.produce("mail.delay.1s", [(failed.encode(), b"a mail")], headers={
            **due, "mill.target": "mail.retry.nobody", "mill.attempt": "3", "mill.class": "transient",
            "mill.stage": "send", "mill.emitted": "status", "mill.tenant": "acme",
            "__connect.errors.topic": "mail.messages", "__connect.errors.partition": "2"})
        for key, topic, tenant, attempt in ((held, "mail.delay.1s", "", "1"),
                                            (failed, "mail.messages", "acme", "4")):
            with self.subTest(topic):
                m = self.letter(key.encode())
                h = lab.headers(m)
                self.assertEqual(m.value(), b"a mail")
                self.assertEqual((h["mill.class"], h["mill.stage"], h["mill.attempt"]),
                                 ("poison", "delay", attempt))
                self.assertEqual(h["__connect.errors.topic"], topic)
                told = lab.wait_for("its status", lambda k=key: [
                    v for v in map(lambda m: lab.decode(m.value()), lab.read("mail.status"))
                    if v["message_id"] == k], 60)
                self.assertEqual([(v["state"], v["tenant"]) for v in told], [("DEAD_LETTER", tenant)])

    def test_the_operator_sees_it(self):
        key = uuid.uuid4().hex.encode()
        lab.produce("mail.requests", [(key, b"\0\x7f\xff\xff\xf0junk")])
        m = self.letter(key)
        rows = [json.loads(line) for line in
                lab.sendmill("dlq", "ls", "-o", "json", "--class", "poison").stdout.splitlines()]
        place = (m.partition(), m.offset())
        self.assertIn(place, [(r["partition"], r["offset"]) for r in rows])
        shown = lab.sendmill("dlq", "show", f"{place[0]}/{place[1]}").stdout
        for text in ("reason", "poison", "validate", "mail.requests/", "00 7f ff ff f0"):
            self.assertIn(text, shown)
        self.assertEqual(lab.sendmill("dlq", "show", "0/99999999", check=False).returncode, 66)
        self.assertEqual(lab.sendmill("tail", "no.such.topic", "--to", "end",
                                      check=False).returncode, 66)
        self.assertEqual(lab.sendmill("frobnicate", check=False).returncode, 2)


class Versions(unittest.TestCase):
    """A producer one schema version behind, and one ahead."""

    def send(self, schema: dict, record: dict) -> dict:
        number = lab.register("mail.requests-value", schema)
        lab.produce("mail.requests",
                    [(record["request_id"].encode(), lab.encode(number, schema, record))])
        return lab.wait_for("the call", lambda: lab.calls().get(record["request_id"] + "/0"), 60)

    def test_older(self):
        schema = lab.schema("request")
        schema["fields"] = [f for f in schema["fields"]
                            if f["name"] not in ("resend_id", "resend_at", "expires_at")]
        self.assertEqual(self.send(schema, minimal(uuid.uuid4().hex)), 1)

    def test_newer(self):
        schema = lab.schema("request")
        schema["fields"].insert(3, {"name": "campaign", "type": ["null", "string"], "default": None,
                                    "doc": "a field of the future"})
        record = {**minimal(uuid.uuid4().hex), "campaign": "spring"}
        self.assertEqual(self.send(schema, record), 1)

    def test_an_incompatible_version_is_refused_by_the_registry(self):
        schema = lab.schema("request")
        schema["fields"] = [f for f in schema["fields"] if f["name"] != "from"]
        with self.assertRaises(Exception) as e:
            lab.register("mail.requests-value", schema)
        self.assertRegex(str(e.exception), "409|422")


class Topology(unittest.TestCase):
    def test_topics_are_as_declared(self):
        self.assertEqual(lab.sendmill("topics", "check").returncode, 0)

    def test_a_changed_partition_count_is_refused(self):
        import pathlib
        import tempfile
        with tempfile.TemporaryDirectory() as tmp:
            mine = pathlib.Path(tmp) / "mine.json"
            text = (lab.ROOT / "deploy/topology.json").read_text()
            topics = json.loads(text)["topics"]
            for t in topics:
                if t.get("joined") == "mail":
                    t["partitions"] = 8
                t.pop("schema", None)
            mine.write_text(json.dumps({"topics": topics}))
            done = lab.sendmill("topics", "apply", "--topology", str(mine), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("refused", done.stdout)
        self.assertIn("Keys would move", done.stdout)


if __name__ == "__main__":
    lab.main()
