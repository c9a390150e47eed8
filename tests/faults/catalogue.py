"""The faults: what each does, and what it needs for itself while it does it."""
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import lab
from disk import Disk
from harm import SESSION_S, Harm

STAGES = ["validate", "send", "unpack", "enrich", "deadletter", "delay", "suppress"]
COMMIT = ["commit.before-offsets", "commit.before-commit", "commit.after-commit"]
POINTS = {
    **{s: COMMIT for s in STAGES},
    "send": ["send.before-intent", "send.before-call", "send.during-call", "send.after-reply",
             *COMMIT],
    "ingest": ["ingest.before-produce", "ingest.after-ack"],
    "sink": ["sink.after-plan", "sink.after-put", "sink.before-commit"],
}
PAST_S = SESSION_S + 2.5


@dataclass
class Fault:
    name: str                 # row of the table
    do: Callable[[], None]
    parts: frozenset = field(default_factory=frozenset)  # no two faults on one part at once
    long: bool = False        # takes more than ten seconds
    weight: float = 1.0


class Catalogue:
    """All faults that this stack can have."""

    def __init__(self, harm: Harm, disk: Disk | None, rng: random.Random):
        self.harm, self.disk, self.rng = harm, disk, rng
        self.all: list[Fault] = []
        self._processes()
        self._points()
        self._outages()
        self._provider()

    def _add(self, name, do, parts=(), long=False, weight=1.0):
        self.all.append(Fault(name, do, frozenset(parts), long, weight))

    def _processes(self):
        h = self.harm
        for p in ["ingest", *STAGES, "sink", "send2"]:
            if p not in h.parts:
                continue
            w = 2.0 if p.startswith("send") else 1.0
            self._add(f"kill -9 {p}", lambda p=p: h.kill(p), [p], weight=w)
            self._add(f"stop {p} past its session", lambda p=p: h.freeze(p, PAST_S), [p], True, w)
        for p in STAGES:
            self._add(f"stop {p} for a moment", lambda p=p: h.freeze(p, 2), [p], weight=0.5)

    def _points(self):
        h, rng = self.harm, self.rng
        if not h.points:
            return
        for p in [*POINTS, "send2"]:
            if p not in h.parts:
                continue
            for point in POINTS["send" if p == "send2" else p]:
                sure = p in ("deadletter", "delay", "suppress", "sink", "ingest")
                self._add(f"kill -9 {p} at {point}", lambda p=p, point=point, sure=sure: h.kill_at(
                    p, point, 1 if sure else rng.randint(1, 4)), [p])
                if point.startswith("send.") or point == "commit.before-commit" or p == "sink":
                    self._add(f"stop {p} at {point}", lambda p=p, point=point: h.stop_at(
                        p, point, 1, PAST_S), [p], True)
        for p in [s for s in [*STAGES, "send2"] if s in h.parts]:
            self._add(f"kill -9 {p} again as it gets its partitions",
                      lambda p=p: h.kill_on_assign(p), [p], True, 0.5)

    def _outages(self):
        h = self.harm
        self._add("kill -9 broker", lambda: h.kill("broker"), ["broker"], True)
        self._add("restart broker", lambda: h.bounce("broker", 1), ["broker"], True)
        self._add("stop broker for 7 s", lambda: h.freeze("broker", 7), ["broker"], True)
        if self.disk and self.disk.mounted:
            self._add("broker's disk full", self._disk_full, ["broker"], True)
        self._add("registry down", lambda: h.bounce("registry", 3), ["registry"], True)
        self._add("kill -9 registry", lambda: h.kill("registry"), ["registry"], True)
        self._add("S3 down", lambda: h.bounce("s3", 6), ["s3"], weight=2)

    def _disk_full(self):
        was = self.harm.pid("broker")
        self.disk.fill()
        try:
            time.sleep(6)  # the broker ends as it finds no room; what it has acknowledged is there
        finally:
            self.disk.free()
        if self.harm.pid("broker") == was:
            self.harm.well("broker")
            return
        self.harm.well("broker")

    def _provider(self):
        def one(name, rule, seconds, long=False, weight=1.0):
            def do():
                lab.behave({"faults": [rule() if callable(rule) else rule]})
                try:
                    time.sleep(seconds)
                finally:
                    lab.behave(None)
            self._add("provider " + name, do, ["provider"], long, weight)

        def some(**rule):
            return {"rate": 0.3, **rule}
        one("hangs, has taken it", some(hang=True, accept=True), 4)
        one("hangs, has not taken it", some(hang=True), 4)
        one("resets after the body, fresh connections, taken",
            {"reset": "after_body", "accept": True, "rate": 0.5}, 3)
        one("resets after the body, reused connections, taken",
            {"reset": "after_body", "accept": True, "reused": True, "rate": 0.2}, 3)
        one("resets after the body, not taken", some(reset="after_body", accept=False), 2)
        one("resets before the body", {"reset": "before_body", "rate": 0.3}, 3)
        for status in (500, 502, 503, 504):
            one(f"answers {status} after accepting", some(status=status, accept=True), 2, weight=0.5)
        one("answers 503, not taken", some(status=503), 2)
        one("answers 503 and when to come again", some(status=503, retry_after=1), 2)
        one("answers 429 for 10 s", {"status": 429, "retry_after": 2}, 10, True, 2)
        one("answers 429 for a minute", {"status": 429, "retry_after": 5}, 60, True, 0.2)
        one("answers 401", {"status": 401}, 3)
        for name in ("sendgrid", "mailgun"):
            one(f"{name} is down", {"provider": name, "reset": "before_body"}, 5)
            one(f"{name} refuses our key", {"provider": name, "status": 401}, 5)
        one("answers late", some(late_ms=1500), 4)

        def webhooks(rule):
            lab.behave({"webhooks": rule})
            time.sleep(4)
            lab.behave(None)
        self._add("webhooks twice, late, wrongly signed", lambda: webhooks(
            {"duplicate_every": 2, "fail_every": 3, "delay_ms": 800}), ["provider"])

    def draw(self, long: bool | None, n: int) -> list[Fault]:
        """n faults by weight; while n allows it, each of them once before any twice."""
        pool = [f for f in self.all if long is None or f.long == long]
        drawn: list[Fault] = []
        while len(drawn) < n:
            turn = pool[:] if not drawn else self.rng.choices(
                pool, [f.weight for f in pool], k=len(pool))
            self.rng.shuffle(turn)
            drawn += turn
        return drawn[:n]
