"""kill -9 of each process under load: nothing accepted is missing at the end, nothing called twice."""
import threading
import time
import unittest
from collections import Counter

import lab

VICTIMS = ["ingest", "validate", "send", "unpack", "enrich", "deadletter", "delay", "sink"]
PERIOD_S = 0.02


class Load(threading.Thread):
    """Posts until told to stop; remembers what was answered 202."""

    def __init__(self):
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.accepted: set[str] = set()
        self.refused = Counter()

    def run(self):
        while not self.stop.is_set():
            try:
                r = lab.post(lab.mail(), timeout=20)
                if r.status_code == 202:
                    self.accepted.update(r.json()["message_ids"])
                else:
                    self.refused[r.status_code] += 1
            except lab.requests.RequestException:
                self.refused["no answer"] += 1
            time.sleep(PERIOD_S)


def unknown_ids() -> set[str]:
    """Messages whose outcome nobody knows: held in the DLQ, by their own class."""
    return {m.key().decode() for m in lab.dead_letters()
            if lab.headers(m)["mill.class"] == "unknown"}


def decodes(message) -> bool:
    """Undecodable bytes are kept elsewhere in the lake, not among the topic's rows."""
    try:
        return bool(lab.decode(message.value() or b""))
    except (ValueError, EOFError, IndexError, UnicodeDecodeError, lab.requests.HTTPError):
        return False


class Kill(unittest.TestCase):
    def test_nothing_is_lost_and_nothing_is_sent_twice(self):
        lab.forget_calls()
        load = Load()
        load.start()
        for victim in VICTIMS:
            time.sleep(1.0)
            lab.local("ctl", "kill", "-9", victim)
            lab.local("ctl", "wait", victim)
        time.sleep(1.0)
        load.stop.set()
        load.join(60)
        print(f"accepted {len(load.accepted)}, others {dict(load.refused)}", flush=True)
        self.assertGreater(len(load.accepted), 100)

        def missing():
            self.left = load.accepted - set(lab.calls()) - unknown_ids()
            return not self.left
        try:
            lab.wait_for("every accepted mail called or held as unknown", missing, 120, 2)
        except AssertionError:
            self.fail(f"{len(self.left)} accepted mails are missing: {sorted(self.left)[:3]}")
        twice = {i: n for i, n in lab.calls().items() if n > 1}
        self.assertEqual(twice, {})
        # Only what was in the air when send died may be unknown.
        self.assertLessEqual(len(unknown_ids() & load.accepted), 64)
        self.lake_is_whole()

    def lake_is_whole(self):
        want = Counter()

        def whole():
            want.clear()
            want.update(e["sg_event_id"] for e in lab.posted_events())
            got = Counter(dict(lab.lake(
                "select provider_event_id, count(*) from lake('mail.events') group by 1")))
            self.wrong = {k: (n, got[k]) for k, n in want.items() if got[k] != n}
            return not self.wrong
        try:
            lab.wait_for("the lake", whole, 90, 3)
        except AssertionError:
            self.fail(f"{len(self.wrong)} events (posted, in the lake): "
                      f"{list(self.wrong.items())[:3]}")
        for topic in ("mail.requests", "mail.messages", "mail.events"):
            places = {(m.partition(), m.offset()) for m in lab.read(topic) if decodes(m)}
            rows = lab.wait_for(f"{topic} in the lake", lambda t=topic, p=places: (
                lambda n: n if n >= len(p) else None)(
                    lab.lake(f"select count(*) from lake('{t}')")[0][0]), 60, 2)
            self.assertEqual(rows, len(places), topic)


if __name__ == "__main__":
    lab.main()
