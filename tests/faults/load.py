"""The load under the faults: clients that post mail (one, or many at once) and retry as a real one
does, with the same Idempotency-Key; and producers that write straight to mail.requests."""
import io
import json
import random
import threading
import time
import uuid
from collections import Counter
from datetime import datetime, timedelta, timezone

import fastavro
import lab
import requests
from confluent_kafka import Producer

BATCH = 25
GIVE_UP_S = 90  # a client that was answered by nobody for so long turns to a person
AGAIN = (409, 425, 429, 500, 502, 503, 504)
RECIPIENTS = (["ann"] * 10 + ["silent"] * 4 + ["deferred", "open", "click", "asyncbounce", "bounce"])


class Book:
    """What was accepted, and under which fault. Shared by all threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.fault = "none"           # what was done last
        self.accepted: dict[str, str] = {}  # message id → fault
        self.answers = Counter()      # other than accepted
        self.cancelled = 0
        self.split: list[str] = []    # keys that got a second id

    def accept(self, ids) -> None:
        with self.lock:
            for i in ids:
                self.accepted.setdefault(i, self.fault)

    def answer(self, what) -> None:
        with self.lock:
            self.answers[what] += 1


class Worker(threading.Thread):
    """Does once() each period_s until it is told to stop."""

    def __init__(self, book: Book, period_s: float, seed: int):
        super().__init__(daemon=True)
        self.book, self.period_s, self.rng = book, period_s, random.Random(seed)
        self.stop = threading.Event()
        self.n = 0

    def run(self):
        due = time.monotonic()
        while not self.stop.is_set():
            self.once()
            self.n += 1
            due = max(due + self.period_s, time.monotonic() - 1)
            self.stop.wait(max(0, due - time.monotonic()))
        self.end()

    def once(self):
        raise NotImplementedError

    def end(self):
        pass

    def mail(self) -> dict:
        to = f"{self.rng.choice(RECIPIENTS)}+{self.rng.getrandbits(48):x}@example.org"
        body = lab.mail(to, metadata={"n": str(self.n)})
        if self.rng.random() < 0.02:
            body["attachments"] = [{"filename": "a.txt", "type": "text/plain", "content": "aGVsbG8="}]
        if self.rng.random() < 0.03:
            at = datetime.now(timezone.utc) + timedelta(seconds=self.rng.uniform(1, 9))
            body["send_at"] = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return body


class Client(Worker):
    """Posts one mail, or many at once, until it has an answer that is final."""

    def __init__(self, book, period_s, seed, many: bool):
        super().__init__(book, period_s, seed)
        self.many = many
        self.http = requests.Session()
        self.http.auth = lab.HTTP.auth

    def once(self):
        path = "/v1/mail/batch" if self.many else "/v1/mail"
        body = [self.mail() for _ in range(BATCH)] if self.many else self.mail()
        data = json.dumps(body).encode()
        key = str(uuid.UUID(int=self.rng.getrandbits(128)))
        ids: dict[int, tuple] = {}
        until = time.monotonic() + GIVE_UP_S
        while time.monotonic() < until:
            done, wait_s = self.post(path, data, key, ids)
            if done:
                if not self.many and "send_at" in body and ids:
                    self.cancel(ids[0])
                return
            time.sleep(wait_s)
        self.book.answer("gave up")

    def post(self, path, data, key, ids) -> tuple[bool, float]:
        """(is the answer final, how long to wait before the same once more)"""
        try:
            r = self.http.post(lab.ENV["INGEST"] + path, data=data, timeout=20, headers={
                "Content-Type": "application/json", "Idempotency-Key": f'"{key}"'})
        except requests.RequestException:
            self.book.answer("no answer")
            return False, 0.3
        try:
            answer = r.json()
        except ValueError:
            answer = {}
        for n, one in enumerate(answer.get("results") or [answer]):
            if one.get("message_ids"):
                self.took(key, n, tuple(one["message_ids"]), ids)
        if r.status_code == 202:
            return True, 0
        self.book.answer(r.status_code)
        if r.status_code == 200 or r.status_code in AGAIN:
            return False, min(float(r.headers.get("Retry-After") or 0.5), 2.0)
        self.book.answer(f"{r.status_code}: {r.text[:200]}")
        return True, 0

    def took(self, key, n, message_ids, ids):
        if ids.setdefault(n, message_ids) != message_ids:
            self.book.split.append(f"{key}[{n}]: {ids[n]} and {message_ids}")
        self.book.accept(message_ids)

    def cancel(self, message_ids):
        """Some of those that are to go later: whether in time or not, they end in a state."""
        if self.rng.random() > 0.4:
            return
        try:
            r = self.http.delete(f"{lab.ENV['INGEST']}/v1/mail/{message_ids[0].split('/')[0]}",
                                 timeout=20)
            if r.status_code == 202:
                self.book.cancelled += 1
        except requests.RequestException:
            pass


class Topic(Worker):
    """Writes requests to the topic: good ones, some twice, some that no rule lets through."""

    def __init__(self, book, period_s, seed):
        super().__init__(book, period_s, seed)
        schema = lab.schema("request")
        self.schema = fastavro.parse_schema(schema)
        self.frame = b"\0" + lab.register("mail.requests-value", schema).to_bytes(4, "big")
        self.kafka = Producer({"bootstrap.servers": lab.ENV["BROKERS"], "acks": "all",
                               "enable.idempotence": True, "partitioner": "murmur2_random",
                               "message.timeout.ms": 30000, "linger.ms": 5,
                               "log_level": 0})

    def once(self):
        request_id = str(uuid.UUID(int=self.rng.getrandbits(128)))
        draw = self.rng.random()
        to = self.mail()["to"] if draw > 0.03 else "nobody at all"
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self.schema, {
            "request_id": request_id, "client": "topic", "from": {"email": "shop@example.com"},
            "subject": "hi", "text": "hello", "personalizations": [{"to": [{"email": to}]}]})
        for _ in range(2 if draw > 0.95 else 1):
            try:
                self.kafka.produce("mail.requests", key=request_id,
                                   value=self.frame + out.getvalue(), on_delivery=self.delivered)
            except BufferError:
                self.book.answer("producer is full")
        self.kafka.poll(0)

    def delivered(self, error, message):
        if error:
            self.book.answer(f"produce: {error.name()}")
        else:
            self.book.accept([message.key().decode() + "/0"])

    def end(self):
        self.kafka.flush(40)


def start(book: Book, rate: float, seed: int) -> list[Worker]:
    """Workers that make about `rate` requests a second together: half in batches."""
    singles, topics = 4, 1
    workers: list[Worker] = [Client(book, singles / (rate * 0.3), seed + n, False)
                             for n in range(singles)]
    workers += [Client(book, 2 * BATCH / (rate * 0.5), seed + 100 + n, True) for n in range(2)]
    workers += [Topic(book, topics / (rate * 0.2), seed + 200 + n) for n in range(topics)]
    for w in workers:
        w.start()
    return workers


def end(workers: list[Worker]) -> None:
    for w in workers:
        w.stop.set()
    for w in workers:
        w.join(GIVE_UP_S + 45)
