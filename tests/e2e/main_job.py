"""1,000 mixed requests: 900 provider calls, 100 clear errors, and the lake holds what was posted."""
import json
import time
import unittest
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import lab

RECIPIENTS = ["ann", "bounce", "open", "click", "complaint", "deferred", "dropped", "machineopen"]


def valid(i: int) -> dict:
    """The simple form, and the full one, with everything in turn."""
    to = f"{RECIPIENTS[i % len(RECIPIENTS)]}+{i}@example.org"
    if i % 3:
        return lab.mail(to)
    return {
        "from": {"email": "shop@example.com", "name": "Shöp"},
        "reply_to": "help@example.com",
        "subject": f"order {i} – thank you",
        "text": "thanks", "html": "<p>thanks</p>",
        "categories": ["orders", f"day-{i % 7}"],
        "metadata": {"order": str(i)},
        "headers": {"X-Shop": "1"},
        "attachments": [{"filename": "bill.txt", "type": "text/plain", "content": "aGVsbG8="}],
        "personalizations": [{"to": [{"email": to, "name": "Ann"}], "metadata": {"line": "1"}}],
    }


# Ten ways to be wrong: body, and the answer it must get; the field it must name (None: none).
INVALID = [
    (b'{"from": "shop@example', 400, None),
    (b"\xff\xfe\x00 no JSON at all", 400, None),
    (json.dumps(lab.mail(text="x" * (3 << 20))).encode(), 413, None),
    (lab.mail(subject="hi\r\nBcc: all@example.org"), 422, "subject"),
    (lab.mail(headers={"X-A": "b\r\nX-Evil: 1"}), 422, "headers"),
    (lab.mail("not-an-address"), 422, "to"),
    (lab.mail("two@@example.org"), 422, "to"),
    ({"from": "shop@example.com", "to": "ann@example.org", "subject": "no body"}, 422, None),
    (lab.mail(colour="red"), 422, "colour"),
    (lab.mail(categories=[f"c{n}" for n in range(11)]), 422, "categories"),
]


class MainJob(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        lab.forget_calls()
        bodies = [("ok", valid(i)) for i in range(900)]
        for n in range(100):
            bodies.insert(n * 10, (n % 10, INVALID[n % 10][0]))
        with ThreadPoolExecutor(8) as pool:
            cls.answers = list(pool.map(lambda b: (b[0], lab.post(b[1])), bodies))
        cls.accepted = [r.json() for kind, r in cls.answers if kind == "ok" and r.status_code == 202]
        cls.ids = {i for a in cls.accepted for i in a["message_ids"]}

    def test_1_each_invalid_request_gets_a_clear_error(self):
        wrong = [(kind, r) for kind, r in self.answers if kind != "ok"]
        self.assertEqual(len(wrong), 100)
        for kind, r in wrong:
            _, status, field = INVALID[kind]
            self.assertEqual(r.status_code, status, r.text)
            self.assertEqual(r.headers["Content-Type"], "application/problem+json")
            problem = r.json()
            for name in ("type", "title", "status", "instance"):
                self.assertIn(name, problem)
            if field:
                pointers = [e["pointer"] for e in problem["errors"]]
                self.assertTrue(any(field in p for p in pointers), problem)
            if status == 413:
                self.assertRegex(problem.get("detail", ""), "2 MiB|2097152|2,097,152")

    def test_2_each_valid_request_is_called_once(self):
        self.assertEqual(len(self.accepted), 900)
        self.assertEqual(len(self.ids), 900)
        calls = lab.wait_for("900 calls", lambda: (lambda c: c if len(c) >= 900 else None)(
            lab.calls()), 120)
        self.assertEqual(set(calls), self.ids)
        self.assertEqual(set(calls.values()), {1})

    def test_3_the_lake_holds_exactly_the_events_posted(self):
        want = self._settled_events()
        sql = "select provider_event_id, count(*) from lake('mail.events') group by 1"

        def rows():
            got = Counter(dict(lab.lake(sql)))
            return got if sum((want & got).values()) == sum(want.values()) else None
        got = lab.wait_for("all events in the lake", rows, 90, 2)
        self.assertEqual({k: got[k] for k in want}, dict(want))

    def _settled_events(self) -> Counter:
        """The double's events once no new ones come for 3 s."""
        n, since = -1, time.monotonic()
        while time.monotonic() - since < 3:
            events = lab.posted_events()
            if len(events) != n:
                n, since = len(events), time.monotonic()
            time.sleep(0.5)
        self.assertGreaterEqual(n, 1700)
        return Counter(e["sg_event_id"] for e in events)

    def test_4_the_lake_has_the_right_types_and_joins(self):
        types = dict(row[:2] for row in lab.lake("describe select * from lake('mail.events')"))
        for name in ("occurred_at", "received_at"):
            self.assertEqual(types[name], "TIMESTAMP WITH TIME ZONE")
        self.assertEqual(types["categories"], "VARCHAR[]")
        self.assertEqual(types["metadata"], "MAP(VARCHAR, VARCHAR)")
        self.assertEqual(types["matched"], "BOOLEAN")
        self.assertEqual(types["type"], "VARCHAR")
        message = self.accepted[0]["message_ids"][0]
        rows = lab.lake("select matched, request_id, tenant, latency_ms from lake('mail.events') "
                        f"where message_id = '{message}'")
        self.assertTrue(rows)
        for matched, request_id, tenant, latency_ms in rows:
            self.assertTrue(matched)
            self.assertEqual(request_id, message.split("/")[0])
            self.assertEqual(tenant, "demo")
            self.assertGreater(latency_ms, -1000)  # the provider's clock has whole seconds
        kinds = dict(lab.lake("select type, count(*) from lake('mail.events') group by 1"))
        for kind in ("PROCESSED", "DELIVERED", "BOUNCED", "OPENED", "CLICKED", "COMPLAINED",
                     "DEFERRED", "DROPPED"):
            self.assertGreater(kinds.get(kind, 0), 0, kinds)
        bounces = lab.lake("select distinct bounce_class from lake('mail.events') "
                           "where type = 'BOUNCED'")
        self.assertNotIn((None,), bounces)
        machine = lab.lake("select count(*) from lake('mail.events') where machine_open")
        self.assertGreater(machine[0][0], 0)

    def test_5_nested_stays_nested_in_the_requests_table(self):
        types = dict(row[:2] for row in lab.lake("describe select * from lake('mail.requests')"))
        self.assertTrue(types["personalizations"].startswith("STRUCT(") and
                        types["personalizations"].endswith("[]"), types["personalizations"])
        self.assertEqual(types["from"], "STRUCT(email VARCHAR, \"name\" VARCHAR)")
        self.assertNotIn("html", types)  # bodies do not enter the lake by default

    def test_6_the_command_line_knows_the_lake(self):
        view = lab.sendmill("lake", "ddl", "mail.events", "--engine", "duckdb").stdout
        columns = lab.lake(view + "describe mail_events")
        said = [line.strip("- ").split(" ", 1) for line in view.splitlines()
                if line.startswith("--  ")]
        self.assertEqual([(n.strip('"'), t) for n, t in said],
                         [row[:2] for row in columns if row[0] not in ("dt", "topic")])
        audit = [json.loads(line) for line in lab.sendmill("audit", "--json").stdout.splitlines()]
        self.assertTrue(audit[-1]["ok"])
        rows = sum(p["rows"] for p in audit if p.get("topic") == "mail.events"
                   and p["kind"] == "partition")
        self.assertGreaterEqual(rows, sum(self._settled_events().values()))


if __name__ == "__main__":
    lab.main()
