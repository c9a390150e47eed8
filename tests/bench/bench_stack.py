"""An instance of deploy/local for a benchmark, and how a process is watched from outside."""
import contextlib
import json
import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

LOCAL = Path(__file__).resolve().parents[2] / "deploy/local"
TICKS = os.sysconf("SC_CLK_TCK")


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def instance(name: str, parts: str | None, keep: bool, extra: dict[str, str]):
    """Brings up parts (None: all) and gives what deploy/local/env says, as a dict."""
    env = {**os.environ, **extra}
    up = [LOCAL / "up", "--name", name, "--base", "auto", *(["--only", parts] if parts else [])]
    try:
        subprocess.run(up, env=env, check=True, stdout=sys.stderr)
        text = subprocess.run([LOCAL / "env", "--name", name], env=env, check=True,
                              capture_output=True, text=True).stdout
        yield dict(word.split("=", 1) for word in shlex.split(text) if "=" in word)
    finally:
        if not keep:
            subprocess.run([LOCAL / "down", "--name", name, "--wipe"], env=env, check=False,
                           stdout=sys.stderr)


def state_dir(name: str) -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(state) / "sendmill" / name


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def group_usage(group: int) -> tuple[float, float]:
    """CPU seconds and resident MB of the living processes of a process group."""
    cpu = rss = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            cpu += sum(map(int, fields[11:15])) / TICKS  # its own and its dead children's
            rss += int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return cpu, rss


class Kafka:
    """Topics of a benchmark, and how far a group has come."""

    def __init__(self, env: dict[str, str]):
        self.brokers = env["BROKERS"]
        self.admin = AdminClient({"bootstrap.servers": self.brokers})

    def create(self, *topics: str, partitions: int, config: dict | None = None) -> None:
        new = [NewTopic(t, partitions, 1, config=config or {}) for t in topics]
        for done in self.admin.create_topics(new).values():
            done.result(30)

    def create_anew(self, topic: str, partitions: int) -> None:
        if topic in self.admin.list_topics(timeout=10).topics:  # an instance kept from before
            self.admin.delete_topics([topic])[topic].result(30)
            time.sleep(2)
        self.create(topic, partitions=partitions)

    def reader(self, group: str) -> Consumer:
        # Uncommitted: a read_committed look at offsets waits while a transaction holds some.
        return Consumer({"bootstrap.servers": self.brokers, "group.id": group,
                         "isolation.level": "read_uncommitted"})

    def committed(self, group: str, topic: str, partitions: int) -> int:
        reader = self.reader(group)
        try:
            return done_of(reader, topic, partitions)
        finally:
            reader.close()

    def watch(self, group: str, topic: str, partitions: int, records: int, command: list,
              limit_s: float = 600, env: dict[str, str] | None = None) -> dict[str, float]:
        """Runs a program until its group has committed the whole input; rate and CPU count from the
        first commit seen, so that start and join of the group are not in them."""
        process = subprocess.Popen(command, env=env)
        reader, first, begun = self.reader(group), None, time.monotonic()
        try:
            while True:
                try:
                    done = done_of(reader, topic, partitions)
                except KafkaException:
                    done = 0
                now = time.monotonic()
                if first is None and done:
                    first = (now, done, cpu_s(process.pid))
                if done >= records:
                    break
                if process.poll() is not None or now - begun > limit_s:
                    raise SystemExit(f"bench: {command[0]} ended or hangs at {done} records")
                time.sleep(0.02)
            rows, cpu = done - first[1], cpu_s(process.pid) - first[2]
            return {"rate": rows / (now - first[0]), "cpu": cpu, "cpu_rate": rows / cpu,
                    "cpu_us": cpu / rows * 1e6, "rss": peak_mb(process.pid)}
        finally:
            reader.close()
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def done_of(reader: Consumer, topic: str, partitions: int) -> int:
    parts = [TopicPartition(topic, p) for p in range(partitions)]
    return sum(max(p.offset, 0) for p in reader.committed(parts, 10))


def report(bench: str, value: float, unit: str, baseline: float | None, ratio: float | None,
           cpu: float, rss: float, **more) -> None:
    print(json.dumps({"bench": bench, "value": round(value, 1), "unit": unit,
                      "baseline": None if baseline is None else round(baseline, 1),
                      "ratio": None if ratio is None else round(ratio, 3),
                      "cpu_s": round(cpu, 2), "rss_mb": round(rss, 1), **more}), flush=True)
