"""kill -9 of each process under load: nothing accepted is missing at the end, nothing called twice.

MILL_KILLS=40 (and MILL_SEED) makes a long proof of it: so many faults drawn by chance, kill -9 or
SIGSTOP up to past the session, of the processes, the broker, the registry and the S3 server. What
the broker itself leaves hanging is ended as it had decided (hanging.py), and counted."""
import os
import random
import threading
import time
import unittest
from collections import Counter

import hanging
import lab

VICTIMS = ["ingest", "validate", "send", "unpack", "enrich", "deadletter", "delay", "sink"]
PARTS = ["broker", "registry", "s3"]
STOP_S = [1, 3, 13]  # the group's session is 10 s
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


def faults() -> list[tuple[str, int]]:
    """(victim, seconds stopped); 0 = kill -9."""
    n = int(os.environ.get("MILL_KILLS", "0"))
    if not n:
        return [(v, 0) for v in VICTIMS]
    rng = random.Random(int(os.environ.get("MILL_SEED", "1")))
    drawn = []
    for _ in range(n):
        victim = rng.choice(VICTIMS + PARTS)
        stopped = rng.random() < 0.33 and victim not in ("broker", "registry")
        drawn.append((victim, rng.choice(STOP_S) if stopped else 0))
    return drawn


def strike(victim: str, stop_s: int) -> None:
    if stop_s:
        lab.local("ctl", "kill", "-STOP", victim)
        time.sleep(stop_s)
        lab.local("ctl", "kill", "-CONT", victim)
        time.sleep(1)
    else:
        lab.local("ctl", "kill", "-9", victim)
    lab.local("ctl", "wait", victim)


def unknown_ids() -> set[str]:
    """Messages whose outcome nobody knows: mail.status says so, and they are held (in a delay
    topic, then in the DLQ)."""
    states = (lab.decode(m.value()) for m in lab.read("mail.status"))
    return {s["message_id"] for s in states if s["state"] == "UNKNOWN"}


def decodes(message) -> bool:
    """Undecodable bytes are kept elsewhere in the lake, not among the topic's rows."""
    try:
        return bool(lab.decode(message.value() or b""))
    except (ValueError, EOFError, IndexError, UnicodeDecodeError, lab.requests.HTTPError):
        return False


class Kill(unittest.TestCase):
    def test_nothing_is_lost_and_nothing_is_sent_twice(self):
        lab.forget_calls()
        load, watch = Load(), hanging.Watch(lab.ENV["BROKERS"])
        load.start()
        watch.start()
        struck = faults()
        for victim, stop_s in struck:
            time.sleep(1.0)
            strike(victim, stop_s)
        time.sleep(1.0)
        load.stop.set()
        load.join(60)
        self.assertGreater(len(load.accepted), 100)

        def missing():
            self.left = load.accepted - set(lab.calls()) - unknown_ids()
            return not self.left
        try:
            lab.wait_for("every accepted mail called or held as unknown", missing, 120, 2)
        except AssertionError:
            self.fail(f"{len(self.left)} accepted mails are missing: {sorted(self.left)[:3]}")
        twice = {i: n for i, n in lab.calls().items() if n > 1}
        unknown = unknown_ids() & load.accepted
        print(f"faults {len(struck)}: accepted {len(load.accepted)}, second calls {len(twice)}, "
              f"lost 0, unknown {len(unknown)}; other answers {dict(load.refused)}; left hanging by "
              f"the broker {watch.ended}", flush=True)
        self.assertEqual(twice, {})
        if "broker" not in [v for v, _ in struck]:
            self.assertEqual(watch.ended, [])
        # Only what was in the air when send died may be unknown: one batch of at most 1024 each time.
        self.assertLessEqual(len(unknown), 1024 * sum(v == "send" for v, _ in struck))
        # An answer is lost with the edge or the broker; the provider waits 10 s for one.
        self.events_are_whole(sum(1 + stop_s // 10 for v, stop_s in struck
                                  if v in ("ingest", "broker")))
        self.lake_is_whole()

    def events_are_whole(self, reposts: int):
        """Each event posted is there. One that the edge took but could not answer for is posted
        again by the provider, and stands twice under one event_id."""
        def whole():
            want = Counter(e["sg_event_id"] for e in lab.posted_events())
            got = Counter(m["provider_event_id"] for m in (
                lab.decode(m.value()) for m in lab.read("mail.events")))
            self.few = [k for k, n in want.items() if got[k] < n]
            self.many = [k for k, n in want.items() if got[k] > n + reposts]
            return not self.few
        try:
            lab.wait_for("events", whole, 90, 3)
        except AssertionError:
            self.fail(f"{len(self.few)} events are missing: {self.few[:3]}")
        self.assertEqual(self.many, [])

    def lake_is_whole(self):
        """Rows of a topic's files and records of the topic: the same number, exactly."""
        for topic in ("mail.requests", "mail.messages", "mail.ledger", "mail.status",
                      "mail.events"):
            n = sum(map(decodes, lab.read(topic)))
            rows = lab.wait_for(f"{topic} in the lake", lambda t=topic, n=n: (
                lambda rows: rows if rows >= n else None)(
                    lab.lake(f"select count(*) from lake('{t}')")[0][0]), 90, 2)
            self.assertEqual(rows, n, topic)


if __name__ == "__main__":
    lab.main()
