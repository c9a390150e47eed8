"""mill-send with its ledger, against the same calls without one (bare_send), over the same messages.

The provider is tests/doubles with an answer that takes LATENCY_MS; each run takes the whole topic."""
import itertools
import json
import os
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from bench_stack import Kafka, instance, report, say
import requests

PAIRS, PARTITIONS, LATENCY_MS, GATE = 3, 4, 50, 2000
BATCH = 1024  # of stages/send/send.c
IN, LIMIT_S = "bench.messages", 300
COMPACT = {"cleanup.policy": "compact"}


class Provider:
    """The double, in a process of its own, at a port that it chose."""

    def __init__(self, tree: Path):
        self.process = subprocess.Popen([tree / "bin/mill-provider-double", "--threads", "2"],
                                        stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            found = re.search(r'"port":(\d+)', line)
            if found:
                self.url = f"http://127.0.0.1:{found[1]}"
                break
        else:
            raise SystemExit("bench: the provider double does not start")
        requests.put(self.url + "/behaviour", json={"late_ms": LATENCY_MS}, timeout=10)

    def calls(self) -> dict[str, int]:
        return requests.get(self.url + "/calls", timeout=60).json()

    def forget(self) -> None:
        requests.delete(self.url + "/calls", timeout=60)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


class Bench:
    def __init__(self, tree: Path, env: dict[str, str], records: int, provider: Provider):
        self.tree, self.env, self.records, self.provider = tree, env, records, provider
        self.kafka = Kafka(env)
        self.number = itertools.count(int(time.time()))
        described = json.loads(subprocess.run([tree / "bin/mill-send", "--describe"], check=True,
                                              capture_output=True, text=True).stdout)
        self.default = {o["name"]: o.get("default") for o in described["options"]}

    def create(self, *topics: str, config: dict | None = None) -> None:
        self.kafka.create(*topics, partitions=PARTITIONS, config=config)

    def load(self) -> None:
        self.kafka.create_anew(IN, PARTITIONS)
        subprocess.run([self.tree / "bench/bench_load", self.env["BROKERS"], self.env["REGISTRY"], IN,
                        str(self.records), "messages"], check=True)

    def watch(self, group: str, command: list) -> dict[str, float]:
        """Every message must have been called once."""
        self.provider.forget()
        seen = self.kafka.watch(group, IN, PARTITIONS, self.records, command, LIMIT_S,
                                {**os.environ, "MILL_SEND_SENDGRID_KEY": "SG.bench"})
        calls = self.provider.calls()
        if len(calls) != self.records or set(calls.values()) != {1}:
            raise SystemExit(f"bench: {len(calls)} of {self.records} called, "
                             f"{sum(n > 1 for n in calls.values())} of them twice")
        return seen

    def bare(self) -> dict[str, float]:
        group = f"bench-bare{next(self.number)}"
        return self.watch(group, [
            self.tree / "bench/bare_send", self.env["BROKERS"], self.env["REGISTRY"], IN, group,
            self.provider.url, self.default["concurrency"], str(BATCH)])

    def stage(self) -> dict[str, float]:
        """Every port and table of the stage has a topic of its own; those of tables are compacted."""
        n = next(self.number)
        ports = [o.partition(".") for o in self.default
                 if o.startswith(("in.", "out.", "table.")) and o != "in.messages"]
        tables = {name for kind, _, name in ports if kind == "table"}
        others = {name for _, _, name in ports} - tables | {"failures", "retry"}
        self.create(*(f"bench.{name}{n}" for name in tables), config=COMPACT)
        self.create(*(f"bench.{name}{n}" for name in others))
        topics = [x for kind, _, name in ports for x in (f"--{kind}.{name}", f"bench.{name}{n}")]
        group = f"bench-send{n}"
        with tempfile.TemporaryDirectory() as state:
            return self.watch(group, [
                self.tree / "bin/mill-send", "--brokers", self.env["BROKERS"],
                "--registry", self.env["REGISTRY"], "--group", group, "--in.messages", IN, *topics,
                "--failures-topic", f"bench.failures{n}", "--retry-topic", f"bench.retry{n}",
                "--state-dir", state, "--sendgrid-url", self.provider.url, "--log-level", "warn"])


def run(tree: Path, records: int, keep: bool) -> bool:
    provider = Provider(tree)
    try:
        with instance("bench-send", "broker,registry", keep, {}) as env:
            bench = Bench(tree, env, records, provider)
            bench.load()
            pairs = []
            for i in range(PAIRS):
                bare, stage = bench.bare(), bench.stage()
                pairs.append((bare, stage))
                say(f"pair {i + 1}: no ledger {bare['rate']:.0f}/s ({bare['cpu_us']:.0f} µs a mail), "
                    f"send {stage['rate']:.0f}/s ({stage['cpu_us']:.0f} µs a mail)")
    finally:
        provider.stop()
    rate = statistics.median(s["rate"] for _, s in pairs)
    median = {k: [statistics.median(p[i][k] for p in pairs) for i in (0, 1)]
              for k in ("cpu_us", "rss")}
    report("send", rate, "mails/s", statistics.median(b["rate"] for b, _ in pairs),
           statistics.median(s["rate"] / b["rate"] for b, s in pairs),
           median["cpu_us"][1] * records / 1e6, median["rss"][1], latency_ms=LATENCY_MS,
           cpu_us_a_mail=round(median["cpu_us"][1]), bare_cpu_us_a_mail=round(median["cpu_us"][0]),
           bare_rss_mb=round(median["rss"][0], 1))
    return rate >= GATE
