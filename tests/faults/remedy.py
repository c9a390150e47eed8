"""What an operator does when the broker's group coordinator has failed, or goes on to hold the
offsets of a transaction that has ended (both seen after its disk was full: Kafka 4.3.1 loaded a
coordinator twice at once; or it tried to write the end, met NotLeaderOrFollower, and forgot it):
restart the broker. Nothing of the pipeline can end it; a stage whose offsets they are waits for
them. See deploy/README.md."""
import struct
import threading
import time

import hanging
from catalogue import Fault
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

LIMIT_S = 30    # three times the timeout of a transaction
STRUCK_S = 180  # so long after a fault of the broker it is the broker's
OFFSETS = "__consumer_offsets"


def home(group: str, partitions: int) -> int:
    """The partition of the offsets topic that a group's offsets are in: Java's hash of its name."""
    h = 0
    for c in group:
        h = (31 * h + ord(c)) & 0xffffffff
    return (h & 0x7fffffff) % partitions


class Remedy(threading.Thread):
    """Looks for such offsets, restarts the broker, and counts. Where the broker was not struck
    before, it is no such case, and the run has failed."""

    def __init__(self, brokers: str, harm, run):
        super().__init__(daemon=True)
        self.brokers, self.harm, self.run_ = brokers, harm, run
        self.admin = AdminClient({"bootstrap.servers": brokers, "log_level": 1})
        self.stop = threading.Event()
        self.done: list[str] = []
        self.groups: set[str] = set()  # all that were seen: one whose coordinator failed is not listed
        self.since: dict[tuple, float] = {}

    def unstable(self, group: str) -> dict[tuple, int]:
        """The group's partitions whose offset is held, and that offset; ("", 0) where its
        coordinator does not answer for it at all."""
        try:
            return hanging.unstable(self.brokers, group)
        except RuntimeError:
            return {("", 0): -1}

    def look(self) -> dict[tuple, float]:
        """(group, topic, partition, offset) → since when it stays at this offset, though there is
        more to read and no transaction is open. A group that is busy is in one or the other
        transaction at every look, but gets on."""
        self.groups |= {g.group_id for g in self.admin.list_consumer_groups().result(20).valid}
        now = time.monotonic()
        waits = {(g, *place, offset) for g in self.groups
                 for place, offset in self.unstable(g).items()}
        ask = {TopicPartition(topic, n): OffsetSpec.latest() for _, topic, n, _ in waits if topic}
        ends = {(p.topic, p.partition): f.result().offset
                for p, f in (self.admin.list_offsets(ask) if ask else {}).items()}
        homes = len(self.admin.list_topics(OFFSETS, 20).topics[OFFSETS].partitions)
        is_open = {p for topic, p in hanging.held_back(self.brokers) if topic == OFFSETS}
        self.since = {k: self.since.get(k, now) for k in waits
                      if not k[1] or home(k[0], homes) not in is_open and k[3] < ends[k[1:3]]}
        return self.since

    def run(self):
        while not self.stop.wait(3):
            try:
                stuck = {k: t for k, t in self.look().items() if time.monotonic() - t > LIMIT_S}
                if stuck:
                    self.end(sorted(stuck), min(stuck.values()))
                    self.since = {}
            except (KafkaException, OSError, struct.error, RuntimeError, ValueError):
                self.since = {}  # the broker is away: look again

    def end(self, stuck: list[tuple], since: float) -> None:
        said = ", ".join("/".join(map(str, k)) for k in stuck[:6])
        struck = "broker" in self.run_.busy or since - self.run_.broker_at < STRUCK_S
        if not struck:
            self.run_.failed.append(f"offsets held though no transaction is open, and the broker was "
                                    f"not struck: {said}")
            return
        restart = Fault("restart of the broker", lambda: self.harm.bounce("broker", 1),
                        frozenset(["broker"]))
        self.run_.take(restart)
        try:
            if not any(k[1:3] in self.unstable(k[0]) for k in stuck):
                return  # the fault that had the broker until now has ended it
            restart.do()
            self.done.append(said)
            print(f"operator: restarted the broker, as its coordinator held offsets of no "
                  f"transaction: {said}", flush=True)
        finally:
            self.run_.give(restart)
