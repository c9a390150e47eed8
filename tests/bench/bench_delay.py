"""mill-delay on a real broker: records that are due at times spread over M minutes, put into the delay
topics as send does; how far from its time each one comes out, what the process fetched, how big it is."""
import contextlib
import random
import re
import socket
import statistics
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

from bench_stack import cpu_s, instance, report, say
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

TIERS = {"1s": 1, "10s": 10, "1m": 60, "10m": 600, "1h": 3600, "1d": 86400}
PARTITIONS, SPARE_S, GATE_MS, GROWTH = 4, 30, 1000, 1.25
TARGET = f"bench.due.{time.time_ns()}"  # an instance kept from before has others


def create_topics(brokers: str) -> None:
    admin = AdminClient({"bootstrap.servers": brokers})
    append = {"message.timestamp.type": "LogAppendTime"}
    new = [NewTopic(f"mail.delay.{t}", PARTITIONS, 1, config=append) for t in TIERS]
    new += [NewTopic(t, PARTITIONS, 1) for t in (TARGET, "mail.failures")]
    there = admin.list_topics(timeout=10).topics
    new = [t for t in new if t.topic not in there]
    for done in (admin.create_topics(new) if new else {}).values():
        done.result(30)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Delay:
    """The process, and what can be seen of it from outside."""

    def __init__(self, tree: Path, brokers: str):
        self.status = f"127.0.0.1:{free_port()}"
        self.process = subprocess.Popen(
            [tree / "bin/mill-delay", "--brokers", brokers, "--registry", "http://127.0.0.1:9",
             "--group", f"bench-delay-{time.time_ns()}", "--status-listen", self.status,
             "--log-level", "warn"])

    def get(self, path: str) -> str:
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://{self.status}{path}", timeout=5) as r:
                return r.read().decode()
        return ""

    def wait_ready(self) -> None:
        until = time.monotonic() + 60
        while not self.get("/readyz"):
            if time.monotonic() > until or self.process.poll() is not None:
                raise SystemExit("bench: mill-delay is not ready")
            time.sleep(0.2)

    def ways(self) -> dict[str, int]:
        rows = re.findall(r'mill_delay_records_total\{.*?way="(\w+)".*?\} (\d+)', self.get("/metrics"))
        return {way: int(n) for way, n in rows}

    def commit_ms(self) -> float:
        """Mean time of a transaction's end."""
        text = self.get("/metrics")
        total, n = (float(re.search(rf"mill_commit_seconds_{k}\S* (\S+)", text)[1])
                    for k in ("sum", "count"))
        return 1000 * total / max(n, 1)

    def rss_mb(self) -> float:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024

    def received_bytes(self) -> int:
        """Of its TCP connections that are open."""
        text = subprocess.run(["ss", "-tinpOH"], capture_output=True, text=True, check=False).stdout
        mine = [line for line in text.splitlines() if f"pid={self.process.pid}," in line]
        return sum(int(n) for line in mine for n in re.findall(r"bytes_received:(\d+)", line))

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Arrivals(threading.Thread):
    """Reads the target: how many ms after its time each record came (negative: before)."""

    def __init__(self, brokers: str):
        super().__init__(daemon=True)
        self.off_ms: dict[int, float] = {}
        self.twice, self.end = 0, False
        self.consumer = Consumer({"bootstrap.servers": brokers, "group.id": "bench-arrivals",
                                  "isolation.level": "read_committed", "fetch.wait.max.ms": 20,
                                  "enable.auto.commit": False})
        self.consumer.assign([TopicPartition(TARGET, p, OFFSET_BEGINNING) for p in range(PARTITIONS)])

    def run(self) -> None:
        while not self.end:
            for m in self.consumer.consume(500, 0.1):
                now = time.time() * 1000
                number, due = m.value().split(b" ", 2)[:2]
                self.twice += int(number) in self.off_ms
                self.off_ms[int(number)] = now - int(due)
        self.consumer.close()


def load(brokers: str, records: int, minutes: float, size: int, rate: int) -> float:
    """Puts them where send would; due from a second after the load's end on. @return last due time"""
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 5})
    begun = time.time()
    first = begun + records / rate + 1
    for i in range(records):
        due = first + random.random() * minutes * 60
        left = due - time.time()
        tier = max((t for t in TIERS if TIERS[t] <= left), key=TIERS.get, default="1s")
        due_ms = int(due * 1000)
        producer.produce(f"mail.delay.{tier}", key=f"bench-{i}/0",
                         value=f"{i} {due_ms} ".encode() + random.randbytes(size),
                         headers={"mill.due": str(due_ms), "mill.target": TARGET,
                                  "mill.target-partition": str(i % PARTITIONS)})
        producer.poll(0)
        if i % 100 == 99:
            time.sleep(max(0.0, begun + i / rate - time.time()))
    producer.flush(60)
    return first + minutes * 60


def watch(delay: Delay, arrivals: Arrivals, records: int, until: float) -> list[float]:
    """Until all are there. @return memory, every few seconds"""
    rss, said = [], time.time()
    while len(arrivals.off_ms) < records and time.time() < until:
        time.sleep(2)
        if delay.process.poll() is not None:
            raise SystemExit("bench: mill-delay has ended")
        rss.append(delay.rss_mb())
        if time.time() - said > 60:
            said = time.time()
            late = sorted(abs(v) for v in list(arrivals.off_ms.values())) or [0.0]
            say(f"delay: {len(late)} of {records}, p99 {late[len(late) * 99 // 100]:.0f} ms, worst "
                f"{late[-1]:.0f} ms, {rss[-1]:.1f} MB, {delay.received_bytes() / 1e6:.1f} MB fetched")
    return rss


def run(tree: Path, records: int, minutes: float, size: int, rate: int, keep: bool) -> bool:
    with instance("bench-delay", "broker", keep, {}) as env:
        create_topics(env["BROKERS"])
        arrivals = Arrivals(env["BROKERS"])
        delay = Delay(tree, env["BROKERS"])
        try:
            delay.wait_ready()
            arrivals.start()
            idle_bytes = delay.received_bytes()
            last = load(env["BROKERS"], records, minutes, size, rate)
            say(f"delay: {records} records of {size} bytes loaded, due over {minutes:g} min")
            rss = watch(delay, arrivals, records, last + SPARE_S)
            fetched, ways = delay.received_bytes() - idle_bytes, delay.ways()
            cpu = cpu_s(delay.process.pid)
            commit = delay.commit_ms()
        finally:
            delay.stop()
            arrivals.end = True
            arrivals.join(10)
    return judge(arrivals, records, rss, fetched, ways, cpu, commit, size, minutes)


def judge(arrivals: Arrivals, records: int, rss: list[float], fetched: int, ways: dict[str, int],
          cpu: float, commit: float, size: int, minutes: float) -> bool:
    off = sorted(arrivals.off_ms.values())
    if len(off) < records:
        say(f"delay: {records - len(off)} of {records} never came")
        return False
    error = sorted(abs(v) for v in off)
    p99 = error[records * 99 // 100]
    hops = sum(ways.values())
    quarter = max(1, len(rss) // 4)  # the first one is the load
    early, late = statistics.median(rss[quarter:2 * quarter] or rss), statistics.median(rss[-quarter:])
    report("delay_off_p99", p99, "ms", None, None, cpu, max(rss), p50=round(statistics.median(error), 1),
           earliest=round(off[0], 1), latest=round(off[-1], 1), records=records, minutes=minutes,
              twice=arrivals.twice, commit_ms=round(commit, 1), hops=hops, fetched_mb=round(fetched / 1e6, 2),
           fetched_per_hop=round(fetched / hops / size, 2), rss_2nd_quarter=round(early, 1),
           rss_4th_quarter=round(late, 1))
    return p99 <= GATE_MS and arrivals.twice == 0 and late <= early * GROWTH
