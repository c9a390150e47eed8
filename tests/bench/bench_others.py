"""Another sink beside ours: `run sink --sink FILE`, a JSON object of
  name            of its lines: sink_NAME …
  command         words; becomes the sink, which reads the topic from its beginning until SIGTERM
  prefix          "folder/in/the/bucket/" for its Parquet files; emptied before each run
  prepare         words run before the clock, to fetch what it needs (optional)
  topics          which must exist, one partition each (optional)
  env, cwd        (optional)
  iceberg_catalog SQLite file of a catalog: its rows are those of the table in it, not of all files (optional)
All words may have {brokers} {registry} {registry_server} {topic} {group} {s3} {bucket} {access_key} {secret_key}
{prefix}, {dir} (the file's own folder) and {work} (an empty folder, a new one for each run).

A sink has its rows when the footers of its files say so. CPU and memory are of its whole process group.
With --kill each sink, ours too, is killed with SIGKILL KILLS times in mid-run and started again; then its
rows and its different event ids are counted."""
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import bench_iceberg
from bench_stack import group_usage, report, say
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

LIMIT_S, KILLS, SETTLE_S, QUIET_ROWS = 600, 3, 30, 3


class Run:
    """One way to start a sink, and where its rows are."""

    def __init__(self, name: str, command: list, env: dict[str, str], files: Callable[[], list[Path]],
                 cwd: str | None = None):
        self.name, self.command, self.env, self.files, self.cwd = name, command, env, files, cwd
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        # A group of its own; nothing of it may come between the benches' lines.
        self.process = subprocess.Popen(self.command, env={**os.environ, **self.env}, cwd=self.cwd,
                                        start_new_session=True, stdout=sys.stderr)

    def end(self, signum: int = signal.SIGTERM) -> None:
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signum)
            self.process.wait(60)

    def rows(self) -> int:
        return sum(footer_rows(f) for f in self.files())

    def wait(self, rows: int) -> tuple[float, float, float]:
        """Until it has so many. @return seconds until it had any, CPU seconds and most memory in MB"""
        first = cpu = rss = 0.0
        began, have = time.monotonic(), 0
        while have < rows:
            took = time.monotonic() - began
            if self.process.poll() is not None or took > LIMIT_S:
                raise SystemExit(f"bench: {self.name} ended or hangs at {have} rows")
            time.sleep(0.1)
            have = self.rows()
            now, resident = group_usage(self.process.pid)
            cpu, rss = max(cpu, now), max(rss, resident)
            first = first or (time.monotonic() - began if have else 0.0)
        return first, cpu, rss


@cache
def whole_rows(file: Path, _written_ns: int) -> int:
    return pq.read_metadata(file).num_rows


def footer_rows(file: Path) -> int:
    try:
        return whole_rows(file, file.stat().st_mtime_ns)
    except (OSError, ValueError):  # not whole yet
        return 0


@contextlib.contextmanager
def other(bench, file: Path, topic: str):
    """A run of the sink that FILE describes."""
    spec, group = json.loads(file.read_text()), f"bench-other{next(bench.number)}"
    env, prefix = bench.env, spec["prefix"]
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        words = {"brokers": env["BROKERS"], "registry": env["REGISTRY"],
                 "registry_server": env["REGISTRY"].partition("/apis/")[0], "topic": topic, "group": group,
                 "s3": env["S3_ENDPOINT"], "bucket": env["S3_BUCKET"], "prefix": prefix,
                 "access_key": env["AWS_ACCESS_KEY_ID"], "secret_key": env["AWS_SECRET_ACCESS_KEY"],
                 "dir": str(file.resolve().parent), "work": work}

        def said(key: str) -> list[str]:
            return [w.format(**words) for w in spec.get(key, [])]

        def files() -> list[Path]:
            catalog = spec.get("iceberg_catalog")
            if catalog:
                return bench_iceberg.live_files(Path(catalog.format(**words)), bench.lake)
            return bench.files(prefix)

        shutil.rmtree(bench.lake / prefix, ignore_errors=True)
        if spec.get("prepare"):
            subprocess.run(said("prepare"), check=True, stdout=sys.stderr)
        if spec.get("topics"):
            bench.kafka.create(*said("topics"), partitions=1)
        cwd = spec.get("cwd")
        run = Run(spec["name"], said("command"),
                  {**env, **{k: str(v).format(**words) for k, v in spec.get("env", {}).items()}}, files,
                  cwd and cwd.format(**words))
        try:
            yield run
        finally:
            run.end()


@contextlib.contextmanager
def ours(bench, topic: str, port: int):
    n = next(bench.number)
    prefix = f"ours{n}/"
    run = Run("ours", bench.command(topic, f"bench-sink{n}", prefix, port, []), bench.env,
              lambda: bench.files(prefix))
    try:
        yield run
    finally:
        run.end()
        shutil.rmtree(bench.lake / prefix, ignore_errors=True)


def backlog(bench, file: Path, topic: str) -> None:
    """The whole topic, from its start until the last row is there."""
    with other(bench, file, topic) as run:
        began = time.monotonic()
        run.start()
        first, cpu, rss = run.wait(bench.rows)
        seconds = time.monotonic() - began
        files = run.files()
        report(f"sink_{run.name}", bench.rows / seconds, "rows/s", None, None, cpu, rss,
               cpu_us_a_row=round(cpu / bench.rows * 1e6, 2), seconds=round(seconds, 1),
               first_rows_s=round(first, 1), files=len(files), bytes=sum(f.stat().st_size for f in files))


def quiet(bench, file: Path) -> None:
    """A row in a quiet topic, when it is at work."""
    topic, took = f"bench.quiet{next(bench.number)}", []
    bench.kafka.create_anew(topic, 1)
    bench.load_one(topic)
    with other(bench, file, topic) as run:
        run.start()
        run.wait(1)
        for n in range(QUIET_ROWS):
            time.sleep(3 * random.random())
            bench.load_one(topic)
            began = time.monotonic()
            run.wait(n + 2)
            took.append(time.monotonic() - began)
    report(f"sink_{run.name}_visible", max(took), "s", None, None, 0, 0, all_s=[round(t, 1) for t in took])


def killed(run: Run, rows: int) -> bool:
    """Rows and different event ids after KILLS times kill -9. @return whether each row is there once"""
    began = time.monotonic()
    run.start()
    for k in range(1, KILLS + 1):
        run.wait(rows * k // (KILLS + 2))
        time.sleep(random.random())
        run.end(signal.SIGKILL)
        say(f"{run.name}: killed at {run.rows()} of {rows} rows")
        run.start()
    run.wait(rows)
    seconds = time.monotonic() - began
    time.sleep(SETTLE_S)  # what comes twice comes now
    ids = pa.chunked_array([c for f in run.files() for c in pq.read_table(f, columns=["event_id"])[0].chunks])
    different = pc.count_distinct(ids).as_py()
    report(f"sink_{run.name}_killed", len(ids), "rows", rows, None, 0, 0, kills=KILLS, different=different,
           seconds=round(seconds, 1))
    return len(ids) == different == rows
