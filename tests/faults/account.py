"""The account: reads along on the topics, and says in which state each accepted mail ended."""
import threading
import time
from collections import Counter

import lab
import requests
from confluent_kafka import Consumer, TopicPartition

DELAY = [f"mail.delay.{tier}" for tier in ("1s", "10s", "1m", "10m", "1h", "1d")]
TOPICS = ["mail.status", "mail.ledger", "mail.dlq", "mail.parked", *DELAY]
# States after which nothing more is owed. UNKNOWN alone is none: it must be held in the DLQ.
FINAL = {"SENT", "DELIVERED", "BOUNCED", "FAILED", "REJECTED", "EXPIRED", "CANCELLED", "SUPPRESSED",
         "DEAD_LETTER"}
CALLED = {"SENT", "DELIVERED", "BOUNCED"}


class Account(threading.Thread):
    """A consumer of its own of everything that says what became of a mail."""

    def __init__(self, also_final: set[str]):
        """also_final: states to count as final besides FINAL."""
        super().__init__(daemon=True)
        self.final = FINAL | also_final
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.states: dict[str, set[str]] = {}   # message or request id → states
        self.letters: dict[str, set[str]] = {}  # the same → "class" of its dead letters
        self.evidence: set[str] = set()
        self.unreasoned: list[str] = []         # dead letters that do not say why
        self.holds = Counter()                  # (message, redrives) → letters of class unknown
        self.waits = Counter()                  # message → records of it in the delay topics
        self.read = Counter()
        self.consumer = Consumer({
            "bootstrap.servers": lab.ENV["BROKERS"], "group.id": "faults-account",
            "enable.auto.commit": False, "isolation.level": "read_committed", "log_level": 0})
        known = self.consumer.list_topics(timeout=20).topics
        self.consumer.assign([TopicPartition(t, p, 0) for t in TOPICS
                              for p in known[t].partitions])

    def run(self):
        while not self.stop.is_set():
            for m in self.consumer.consume(500, 0.5):
                if not m.error():
                    self.take(m)
        self.consumer.close()

    def take(self, m):
        topic, key = m.topic(), (m.key() or b"").decode()
        self.read[topic] += 1
        if topic in ("mail.dlq", "mail.parked"):
            h = dict(m.headers() or [])
            cls = h.get("mill.class", b"").decode()
            if h.get("mill.stage") not in (b"validate", b"send"):
                self.read["letters of others"] += 1  # of an event, not of a mail
                return
            with self.lock:
                self.letters.setdefault(key, set()).add(cls)
                self.holds[key, h.get("mill.redrives", b"").decode()] += cls == "unknown"
                if not cls or not h.get("__connect.errors.exception.message"):
                    self.unreasoned.append(key)
        elif topic in DELAY:
            self.waits[key] += 1
        elif topic == "mail.ledger":
            if key.endswith("/evidence"):
                self.evidence.add(key.rsplit("/", 2)[0])
        else:
            record = self.decode(m.value())
            with self.lock:
                self.states.setdefault(record["message_id"], set()).add(record["state"])

    def decode(self, raw: bytes) -> dict:
        """The registry, which the first record of a schema is asked for, is struck too."""
        while True:
            try:
                return lab.decode(raw)
            except requests.RequestException:
                if self.stop.wait(0.5):
                    raise

    def of(self, message_id: str) -> tuple[set[str], set[str]]:
        """States and dead letters of a message; those of its request count as its own."""
        request_id = message_id.split("/")[0]
        none: set[str] = set()
        return (self.states.get(message_id, none) | (self.states.get(request_id, none)
                                                     - {"ACCEPTED", "VALID"}),
                self.letters.get(message_id, none) | self.letters.get(request_id, none))

    def settled(self, message_id: str) -> bool:
        states, letters = self.of(message_id)
        return bool(letters or states & self.final)

    def open(self, accepted) -> list[str]:
        """Accepted, and not yet in a final state."""
        with self.lock:
            return [i for i in accepted if not self.settled(i)]

    def doubled(self) -> list[str]:
        """Mails of which one hold gave more than one letter."""
        with self.lock:
            return [f"{i} × {n}, redriven {r} times" for (i, r), n in self.holds.items() if n > 1]

    def was_unknown(self, message_id: str) -> bool:
        states, letters = self.of(message_id)
        return "UNKNOWN" in states or "unknown" in letters or message_id in self.evidence

    def wait(self, book, idle_s: float = 60, most_s: float = 300) -> list[str]:
        """Until all is settled, or nothing more moves. What is still open."""
        began = moved = time.monotonic()
        before = -1
        while True:
            left = self.open(book.accepted)
            now = time.monotonic()
            if len(left) != before:
                before, moved = len(left), now
            if not left or now - moved > idle_s or now - began > most_s:
                return left
            time.sleep(1)


class Sums:
    """What the run comes to, in all and per fault."""

    def __init__(self, book, account, calls: dict[str, int], left: list[str]):
        lost = set(left)
        # Said to be sent, and the provider knows nothing of it: lost as well.
        lost |= {i for i in book.accepted if not calls.get(i) and account.of(i)[0] & CALLED}
        self.lost = sorted(lost)
        self.second = {i: n for i, n in calls.items() if n > 1}
        self.rows: dict[str, Counter] = {}
        for i, fault in book.accepted.items():
            self.add(fault, i, calls.get(i, 0), i in lost, account)
        for i in set(self.second) - set(book.accepted):  # called, though nobody was told "accepted"
            self.add("(not accepted)", i, calls[i], False, account, requests=0)
        self.total = sum(self.rows.values(), Counter())
        self.called_unasked = sum(1 for i in calls if i not in book.accepted)

    def add(self, fault, i, calls, lost, account, requests=1):
        row = self.rows.setdefault(fault, Counter())
        row["requests"] += requests
        row["calls"] += calls
        row["duplicates"] += max(0, calls - 1)
        row["lost"] += lost
        row["unknown"] += account.was_unknown(i)
        row["settled"] += account.was_unknown(i) and i in account.evidence

    def ok(self) -> bool:
        return not self.second and not self.lost
