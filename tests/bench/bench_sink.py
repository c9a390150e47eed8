"""mill-sink-parquet over a backlog of events, beside what any such sink has to pay for.

Floors of the same run, CPU a row: librdkafka reads the records (bare_consume), our codec decodes them
(the same with a registry, less the first), pyarrow's writer makes the same rows into files of the
same settings (bench_pyarrow, over the sink's own objects). A sink's clock runs from its start until
the last row is committed, its start included. bench_others.py: other sinks beside it."""
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import bench_others
from bench_stack import Kafka, free_port, instance, report, say, state_dir

TOPIC, PARTITIONS, DAYS, LIMIT_S = "bench.events", 12, 84, 600
MANY, MANY_PARTITIONS = "bench.many", 120
FLUSH_S, VISIBLE_MOST_S = 10, 15
GATE_ROWS_S, GATE_CPU, GATE_RSS_MB = 200_000, 1.5, 256
MEMORY = "128MiB"
NAME = "bench-sink"
# What is measured: one path (the day of the broker's clock), and DAYS of them in each partition.
LAYOUTS = {"sink": [], "sink_1000_paths": ["--event-time", f"{TOPIC}:occurred_at"]}


class Bench:
    def __init__(self, tree: Path, env: dict[str, str], rows: int):
        self.tree, self.env, self.rows = tree, env, rows
        self.lake = state_dir(NAME) / "data/s3" / env["S3_BUCKET"]
        self.kafka = Kafka(env)
        self.number = itertools.count(int(time.time()))

    def load(self, topic: str, partitions: int) -> None:
        self.kafka.create_anew(topic, partitions)
        subprocess.run([self.tree / "bench/bench_load", self.env["BROKERS"], self.env["REGISTRY"],
                        topic, str(self.rows), "events", str(DAYS)], check=True)

    def load_one(self, topic: str) -> None:
        subprocess.run([self.tree / "bench/bench_load", self.env["BROKERS"], self.env["REGISTRY"],
                        topic, "1", "events"], check=True)

    def floor(self, *registry: str) -> float:
        """CPU µs a record."""
        out = subprocess.run([self.tree / "bench/bare_consume", self.env["BROKERS"], TOPIC,
                              str(self.rows), *registry], check=True, capture_output=True, text=True)
        return json.loads(out.stdout)["cpu_s"] / self.rows * 1e6

    def files(self, prefix: str) -> list[Path]:
        return sorted((self.lake / prefix).rglob("*.parquet"))

    def writer_floor(self, prefix: str) -> float:
        with tempfile.NamedTemporaryFile("w") as names:
            names.write("\n".join(map(str, self.files(prefix))))
            names.flush()
            out = subprocess.run([sys.executable, Path(__file__).parent / "bench_pyarrow.py", names.name],
                                 check=True, capture_output=True, text=True)
        made = json.loads(out.stdout)
        assert made["rows"] == self.rows, made
        return made["cpu_s"] / self.rows * 1e6

    def command(self, topic: str, group: str, prefix: str, port: int, more: list[str]) -> list:
        return [self.tree / "bin/mill-sink-parquet", "--brokers", self.env["BROKERS"],
                "--registry", self.env["REGISTRY"], "--in.topics", topic, "--group", group,
                "--s3-endpoint", self.env["S3_ENDPOINT"], "--s3-bucket", self.env["S3_BUCKET"],
                "--s3-prefix", prefix, "--status-listen", f"127.0.0.1:{port}", "--memory", MEMORY,
                "--flush", f"{FLUSH_S}s", "--log-level", "warn", *more]

    def sink(self, layout: list[str], topic: str = TOPIC, partitions: int = PARTITIONS) -> dict:
        """Takes the whole topic; is told to end once it holds all rows, and writes what is left."""
        n, port = next(self.number), free_port()
        prefix, began = f"run{n}/", time.monotonic()
        process = subprocess.Popen(self.command(topic, f"bench-sink{n}", prefix, port, layout),
                                   env={**os.environ, **self.env})
        try:
            while kept(port) < self.rows:
                if process.poll() is not None or time.monotonic() - began > LIMIT_S:
                    raise SystemExit("bench: the sink ended or hangs")
                time.sleep(0.05)
            process.terminate()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = status
        finally:
            if process.returncode is None:
                process.kill()
        seconds = time.monotonic() - began
        done = self.kafka.committed(f"bench-sink{n}", topic, partitions)
        if status or done != self.rows:
            raise SystemExit(f"bench: the sink ended with {status}, {done} of {self.rows} committed")
        files = self.files(prefix)
        return {"rate": self.rows / seconds, "rss": usage.ru_maxrss / 1024, "prefix": prefix,
                "cpu_us": (usage.ru_utime + usage.ru_stime) / self.rows * 1e6,
                "files": len(files), "bytes": sum(f.stat().st_size for f in files)}

    def visible(self) -> float:
        """Seconds from one record's arrival in a quiet topic to its object."""
        n, port = next(self.number), free_port()
        prefix, topic = f"quiet{n}/", f"bench.quiet{n}"
        self.kafka.create_anew(topic, 1)
        process = subprocess.Popen(self.command(topic, f"bench-sink{n}", prefix, port, []),
                                   env={**os.environ, **self.env})
        try:
            time.sleep(5)
            self.load_one(topic)
            began = time.monotonic()
            while not self.files(prefix):
                if time.monotonic() - began > LIMIT_S:
                    raise SystemExit("bench: the quiet topic's row does not appear")
                time.sleep(0.05)
            return time.monotonic() - began
        finally:
            process.terminate()
            process.wait(30)


def kept(port: int) -> int:
    """Rows that the sink has taken, by its metrics."""
    try:
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2).read().decode()
    except OSError:
        return 0
    return sum(int(n) for n in re.findall(r"^mill_sink_records_total\{.*\} (\d+)$", text, re.M))


def one(bench: Bench, name: str, floors: list[float], runs: list[dict]) -> bool:
    """Prints what came of a layout's runs. @return whether its gates held"""
    consume, decode, writer = floors
    mid = {k: statistics.median(r[k] for r in runs) for k in ("rate", "cpu_us", "files", "bytes")}
    rss, floor = max(r["rss"] for r in runs), consume + decode + writer
    report(name, mid["rate"], "rows/s", 1e6 / floor, mid["cpu_us"] / floor,
           mid["cpu_us"] * bench.rows / 1e6, rss, cpu_us_a_row=round(mid["cpu_us"], 2),
           consume_us=round(consume, 2), decode_us=round(decode, 2), pyarrow_us=round(writer, 2),
           files=round(mid["files"]), bytes=round(mid["bytes"]))
    fast = name != "sink" or mid["rate"] >= GATE_ROWS_S
    return fast and mid["cpu_us"] <= GATE_CPU * floor and rss <= GATE_RSS_MB


def beside(bench: Bench, others: list[Path], kill: bool) -> bool:
    """The other sinks over the same topic; with kill, ours and them under kill -9. @return whether ours held"""
    for file in others:
        bench_others.backlog(bench, file, TOPIC)
        bench_others.quiet(bench, file)
    if not kill:
        return True
    for file in others:
        with bench_others.other(bench, file, TOPIC) as sink:
            bench_others.killed(sink, bench.rows)
    with bench_others.ours(bench, TOPIC, free_port()) as sink:
        return bench_others.killed(sink, bench.rows)


def run(tree: Path, rows: int, rounds: int, others: list[Path], kill: bool, keep: bool) -> bool:
    good = True
    with instance(NAME, "broker,registry,s3", keep, {}) as env:
        bench = Bench(tree, env, rows)
        bench.load(TOPIC, PARTITIONS)
        reading: list[tuple[float, float]] = []
        runs: dict[str, list[dict]] = {name: [] for name in LAYOUTS}
        writing: dict[str, list[float]] = {name: [] for name in LAYOUTS}
        for i in range(rounds):
            consume = bench.floor()
            reading.append((consume, bench.floor(env["REGISTRY"]) - consume))
            for name, layout in LAYOUTS.items():
                made = bench.sink(layout)
                runs[name].append(made)
                writing[name].append(bench.writer_floor(made["prefix"]))
                say(f"round {i + 1}, {name}: {made['rate']:.0f} rows/s, {made['cpu_us']:.2f} µs a row "
                    f"(floors {reading[-1][0]:.2f} + {reading[-1][1]:.2f} + {writing[name][-1]:.2f}), "
                    f"{made['rss']:.0f} MB, {made['files']} files")
                shutil.rmtree(bench.lake / made["prefix"])
        consume, decode = (statistics.median(r[k] for r in reading) for k in (0, 1))
        for name in LAYOUTS:
            good &= one(bench, name, [consume, decode, statistics.median(writing[name])], runs[name])
        bench.load(MANY, MANY_PARTITIONS)  # a start on a backlog of many partitions stays flat
        made = bench.sink([], MANY, MANY_PARTITIONS)
        report("sink_120_partitions", made["rate"], "rows/s", None, None, made["cpu_us"] * rows / 1e6,
               made["rss"], cpu_us_a_row=round(made["cpu_us"], 2), files=made["files"],
               bytes=made["bytes"])
        good &= made["rss"] <= GATE_RSS_MB
        seconds = bench.visible()
        report("sink_visible", seconds, "s", None, None, 0, 0, flush_s=FLUSH_S)
        good &= beside(bench, others, kill)
    return good and seconds <= VISIBLE_MOST_S
