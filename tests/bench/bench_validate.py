"""mill-validate against a bare librdkafka transactional copy loop, over the same topic."""
import itertools
import json
import statistics
import subprocess
import time
from pathlib import Path

from bench_stack import Kafka, instance, report, say

PAIRS, PARTITIONS, GATE = 3, 4, 0.5
IN, LIMIT_S = "bench.requests", 300


class Bench:
    def __init__(self, tree: Path, env: dict[str, str], records: int):
        self.tree, self.env, self.records = tree, env, records
        self.kafka = Kafka(env)
        self.number = itertools.count(int(time.time()))
        options = json.loads(subprocess.run([tree / "bin/mill-validate", "--describe"], check=True,
                                            capture_output=True, text=True).stdout)["options"]
        default = {o["name"]: o.get("default") for o in options}
        # The same commit interval for both.
        self.commit = [str(default["batch-records"]), str(default["batch-ms"]).removesuffix("ms")]

    def create(self, *topics: str) -> None:
        self.kafka.create(*topics, partitions=PARTITIONS)

    def load(self) -> None:
        self.kafka.create_anew(IN, PARTITIONS)
        subprocess.run([self.tree / "bench/bench_load", self.env["BROKERS"], self.env["REGISTRY"], IN,
                        str(self.records)], check=True)

    def watch(self, group: str, command: list) -> dict[str, float]:
        return self.kafka.watch(group, IN, PARTITIONS, self.records, command, LIMIT_S)

    def bare(self) -> dict[str, float]:
        n = next(self.number)
        self.create(f"bench.copy{n}")
        return self.watch(f"bench-bare{n}", [self.tree / "bench/bare_copy", self.env["BROKERS"], IN,
                                             f"bench.copy{n}", f"bench-bare{n}", *self.commit])

    def stage(self) -> dict[str, float]:
        n = next(self.number)
        out = {k: f"bench.{k}{n}" for k in ("messages", "status", "failures", "retry")}
        self.create(*out.values())
        return self.watch(f"bench-validate{n}", [
            self.tree / "bin/mill-validate", "--brokers", self.env["BROKERS"],
            "--registry", self.env["REGISTRY"], "--group", f"bench-validate{n}",
            "--in.requests", IN, "--out.messages", out["messages"], "--out.status", out["status"],
            "--failures-topic", out["failures"], "--retry-topic", out["retry"],
            "--log-level", "warn"])


def run(tree: Path, records: int, keep: bool) -> bool:
    with instance("bench", "broker,registry", keep, {}) as env:
        bench = Bench(tree, env, records)
        bench.load()
        pairs = []
        for i in range(PAIRS):
            bare, stage = bench.bare(), bench.stage()
            pairs.append((bare, stage))
            say(f"pair {i + 1}: bare {bare['rate']:.0f}/s ({bare['cpu_rate']:.0f} per CPU s), validate "
                f"{stage['rate']:.0f}/s ({stage['cpu_rate']:.0f} per CPU s)")
    ratio = statistics.median(s["rate"] / b["rate"] for b, s in pairs)
    report("validate", statistics.median(s["rate"] for _, s in pairs), "records/s",
           statistics.median(b["rate"] for b, _ in pairs), ratio,
           statistics.median(s["cpu"] for _, s in pairs), max(s["rss"] for _, s in pairs),
           cpu_ratio=round(statistics.median(s["cpu_rate"] / b["cpu_rate"] for b, s in pairs), 3))
    return ratio >= GATE
