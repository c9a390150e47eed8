"""Transactions that the broker has forgotten to end, found as `kafka-transactions.sh` does it
(find-hanging), and ended as their coordinator had decided. Kafka 4.2 and later (KAFKA-20734): a
broker that is killed (or stands still past its session) while a commit is under way skips the
commit's markers when it comes back, if the partition has no leader at that moment. The records
behind them are never given to a read_committed reader, and the group's offsets stay unstable;
nothing a client can do ends it."""
import io
import socket
import struct
import threading
import time

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

OFFSET_FETCH, WRITE_TXN_MARKERS, DESCRIBE_PRODUCERS = 9, 27, 61
UNSTABLE_OFFSET_COMMIT = 88
PREPARE_COMMIT, PREPARE_ABORT = 2, 3  # states in the log of the transaction coordinator
LOOK_BACK_S = 300


def _varint(n: int) -> bytes:
    out = b""
    while n > 0x7f:
        out, n = out + bytes([n & 0x7f | 0x80]), n >> 7
    return out + bytes([n])


def _text(s: str) -> bytes:
    return _varint(len(s.encode()) + 1) + s.encode()


def _list(items: list[bytes]) -> bytes:
    return _varint(len(items) + 1) + b"".join(items)


class _Reader(io.BytesIO):
    def take(self, form: str) -> tuple:
        return struct.unpack(">" + form, self.read(struct.calcsize(">" + form)))

    def varint(self) -> int:
        n, shift = 0, 0
        while True:
            (b,) = self.read(1)
            n, shift = n | (b & 0x7f) << shift, shift + 7
            if b < 0x80:
                return n

    def text(self) -> str:
        return self.read(max(self.varint() - 1, 0)).decode()


def _ask(brokers: str, api: int, version: int, body: bytes) -> _Reader:
    host, port = brokers.split(",")[0].rsplit(":", 1)
    head = struct.pack(">hhih", api, version, 1, 3) + b"e2e" + b"\0"
    with socket.create_connection((host, int(port)), 20) as s:
        s.sendall(struct.pack(">i", len(head + body)) + head + body)
        f = s.makefile("rb")
        answer = _Reader(f.read(*struct.unpack(">i", f.read(4))))
    answer.take("iB")  # correlation, tags
    return answer


def _open_transactions(brokers: str, topic: str, partition: int) -> list[tuple[int, int, int]]:
    """(producer id, its epoch, the coordinator's epoch) of each open one."""
    a = _ask(brokers, DESCRIBE_PRODUCERS, 0, _list(
        [_text(topic) + _list([struct.pack(">i", partition)]) + b"\0"]) + b"\0")
    a.take("i")
    a.varint()
    a.text()
    a.varint()
    _, error = a.take("ih")
    a.text()
    if error:
        raise RuntimeError(f"{topic}/{partition}: describe producers: error {error}")
    found = []
    for _ in range(a.varint() - 1):
        producer, epoch, _, _, coordinator, start, _ = a.take("qiiqiqB")
        if start >= 0:
            found.append((producer, epoch, coordinator))
    return found


def _committed(brokers: str, group: str, stable: bool) -> dict[tuple[str, int], tuple[int, int]]:
    """(offset, error) of each partition that the group has committed."""
    every, tags = b"\0", b"\0"
    a = _ask(brokers, OFFSET_FETCH, 7, _text(group) + every + struct.pack(">?", stable) + tags)
    a.take("i")
    found = {}
    for _ in range(a.varint() - 1):
        topic = a.text()
        for _ in range(a.varint() - 1):
            partition, offset, _ = a.take("iqi")
            a.text()
            (error,) = a.take("h")
            a.varint()
            found[topic, partition] = (offset, error)
        a.varint()
    (error,) = a.take("h")
    if error:
        raise RuntimeError(f"{group}: offset fetch: error {error}")
    return found


def unstable(brokers: str, group: str) -> dict[tuple[str, int], int]:
    """Partitions of which the group's coordinator does not give the committed offset, as it waits
    for the end of a transaction, and the offset before that."""
    waits = [p for p, (_, error) in _committed(brokers, group, True).items()
             if error == UNSTABLE_OFFSET_COMMIT]
    before = _committed(brokers, group, False) if waits else {}
    return {p: before[p][0] for p in waits if p in before}


def _places(r: _Reader, flexible: bool) -> set[tuple[str, int]]:
    """The partitions of a transaction, as a record of the coordinator's log lists them."""
    found = set()
    for _ in range(r.varint() - 1 if flexible else max(r.take("i")[0], 0)):
        topic = r.read(r.varint() - 1 if flexible else r.take("h")[0]).decode()
        count = r.varint() - 1 if flexible else r.take("i")[0]
        found |= {(topic, r.take("i")[0]) for _ in range(count)}
        if flexible:
            r.varint()  # tags: none are known here
    return found


def decided(brokers: str, topic: str, partition: int, producer: int) -> bool:
    """Did the coordinator decide to commit the transaction that hangs at this place? Its own log
    tells: what is forgotten is the marker, not the decision. Offsets of the same transaction may
    be committed already, so that aborting the rest of it loses its records."""
    log, commit = "__transaction_state", False
    c = Consumer({"bootstrap.servers": brokers, "group.id": "hanging", "log_level": 0,
                  "enable.auto.commit": False, "enable.partition.eof": True})
    since = int(time.time() * 1000) - LOOK_BACK_S * 1000
    parts = [TopicPartition(log, p, since) for p in c.list_topics(log, 20).topics[log].partitions]
    parts = [tp for tp in c.offsets_for_times(parts, 20) if tp.offset >= 0]
    c.assign(parts)
    left, until = len(parts), time.monotonic() + 60
    while left and time.monotonic() < until:
        m = c.poll(1)
        if m is None:
            continue
        if m.error():
            left -= 1
        elif m.value():
            r = _Reader(m.value())
            version, of, _, = r.take("hqh")
            if of == producer:
                _, status = r.take("ib")
                places = _places(r, version > 0)
                if status in (PREPARE_COMMIT, PREPARE_ABORT) and (topic, partition) in places:
                    commit = status == PREPARE_COMMIT
    c.close()
    return commit


def _end(brokers: str, topic: str, partition: int, producer: int, epoch: int, coordinator: int,
         commit: bool) -> None:
    where = _text(topic) + _list([struct.pack(">i", partition)]) + b"\0"
    a = _ask(brokers, WRITE_TXN_MARKERS, 1, _list(
        [struct.pack(">qh?", producer, epoch, commit) + _list([where]) +
         struct.pack(">i", max(coordinator, 0)) + b"\0"]) + b"\0")
    a.varint()
    a.take("q")
    a.varint()
    a.text()
    a.varint()
    _, error = a.take("ih")
    if error:
        raise RuntimeError(f"{topic}/{partition}: end of a transaction: error {error}")


def held_back(brokers: str) -> dict[tuple[str, int], int]:
    """Partitions whose committed end is behind their end, and that committed end."""
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 1})
    parts = [TopicPartition(t.topic, p) for t in admin.list_topics(timeout=20).topics.values()
             for p in t.partitions]
    ends = [{(tp.topic, tp.partition): f.result().offset for tp, f in admin.list_offsets(
        {tp: OffsetSpec.latest() for tp in parts}, isolation_level=level).items()}
        for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)]
    return {place: end for place, end in ends[0].items() if end < ends[1][place]}


class Watch(threading.Thread):
    """Ends what is open at one place for longer than any living transaction can be."""

    LIMIT_S = 30  # a transaction times out after 10 s, and a process is stopped for 13 s

    def __init__(self, brokers: str):
        super().__init__(daemon=True)
        self.brokers, self.stop, self.ended = brokers, threading.Event(), []

    def run(self):
        since: dict[tuple, float] = {}
        while not self.stop.wait(3):
            try:
                now, held = time.monotonic(), held_back(self.brokers)
                since = {p: since.get(p, now) for p in held.items()}
                for (place, end), begun in since.items():
                    if now - begun > self.LIMIT_S:
                        for found in _open_transactions(self.brokers, *place):
                            commit = decided(self.brokers, *place, found[0])
                            _end(self.brokers, *place, *found, commit)
                            self.ended.append((*place, end, "commit" if commit else "abort"))
            except (KafkaException, OSError, struct.error, RuntimeError, ValueError):
                continue  # the broker is away: look again
