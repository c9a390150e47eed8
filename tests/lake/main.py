"""tests/run lake N: N faults to the sinks, their group and S3 under load, then the proof that every
record of the broker is in the lake exactly once. See README.md."""
import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "deploy/local")]
try:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient, NewTopic

    import catalogue
    import proof
    from load import EVENT_PARTITIONS, RAW_PARTITIONS, SCHEMAS, Load
    from s3_faults import Door
    from stack import part_s3
    from world import FLUSH_S, NotReached, Sink, Supervisor, World
except ImportError as e:
    print(f"skipped: {e}; run deploy/local/setup")
    sys.exit(77)

SINKS, FAILURE_PARTITIONS = 3, 2
VISIBLE_S = 15      # Must hold: after the last record, with no new one
SETTLE_S = 240      # after the last fault, until all is in the lake
QUIET_ROUNDS = 3
# A member that the group threw out starts anew; one that was killed, too.
EXITS = {75, -9}


def arguments() -> argparse.Namespace:
    ap = argparse.ArgumentParser(prog="tests/run lake", description=__doc__)
    ap.add_argument("n", type=int, nargs="?", default=20, help="how many faults (20)")
    ap.add_argument("--rows", type=int, default=0, help="records in all (25,000 a fault)")
    ap.add_argument("--only", default="", help="only faults whose name holds this text")
    ap.add_argument("--pace", type=float, default=22.0, help="seconds between faults of a lane, at most")
    ap.add_argument("--no-broker", action="store_true", help="the broker is left alone")
    ap.add_argument("--short", action="store_true",
                    help="in the e2e tests' stack: few records, one fault after another soon")
    ap.add_argument("--keep", action="store_true", help="write RESULTS.md")
    args = ap.parse_args()
    if args.short:
        args.pace, args.no_broker = 5.0, True
    args.rows = args.rows or args.n * (2000 if args.short else 25000)
    args.rounds = 1 if args.short else QUIET_ROUNDS
    return args


class Keys:
    """The credentials file that the sinks read. Each pair of keys is an account of the S3 server, so
    that it is the server that refuses one that has expired."""

    def __init__(self, world: World, folder: Path):
        self.world, self.n, self.id = world, 0, folder.name
        self.file = folder / "credentials"
        self.rotate()

    def admin(self, *words: str) -> None:
        env = self.world.env
        subprocess.run([part_s3.BINARY, "admin", "--access", env["AWS_ACCESS_KEY_ID"], "--secret",
                        env["AWS_SECRET_ACCESS_KEY"], "--endpoint-url", env["S3_ENDPOINT"], *words],
                       check=True, capture_output=True, timeout=60)

    def expire(self) -> None:
        """From now on the keys in the file are worth nothing."""
        self.admin("delete-user", "--access", f"{self.id}-{self.n}")

    def rotate(self) -> None:
        """New keys, in the file too."""
        self.n += 1
        name, secret = f"{self.id}-{self.n}", f"secret-of-{self.n}"
        self.admin("create-user", "--access", name, "--secret", secret, "--role", "admin")
        new = self.file.with_suffix(".new")
        new.write_text(f"[default]\naws_access_key_id = {name}\n"
                       f"aws_secret_access_key = {secret}\n")
        new.rename(self.file)


class Run:
    """Everything of one run."""

    def __init__(self, args, seed: int):
        self.args, self.seed, self.rng = args, seed, random.Random(seed)
        self.build = Path(os.environ.get("SENDMILL_BUILD", ROOT / "build/faults")).resolve()
        self.tmp = Path(tempfile.mkdtemp(prefix="lake-"))
        self.world = World()
        self.id = f"{seed % 10**6}-{os.getpid()}"
        self.events, self.raw = f"lake.events.{self.id}", f"lake.raw.{self.id}"
        self.failures = f"lake.failures.{self.id}"
        self.topics = {self.events: EVENT_PARTITIONS, self.raw: RAW_PARTITIONS}
        self.prefix = f"run/{self.id}/"
        self.struck: Counter = Counter()
        self.taken = 0
        self.unreached = 0
        self.bad: list[str] = []
        self.notes: list[str] = []
        self.lock = threading.Lock()
        self.began = time.monotonic()

    # ---- the stage ----

    def up(self) -> None:
        self.world.up()
        self.admin = AdminClient({"bootstrap.servers": self.world.env["BROKERS"]})
        new = [NewTopic(t, n, 1) for t, n in (self.topics | {self.failures: FAILURE_PARTITIONS}).items()]
        for f in self.admin.create_topics(new).values():
            f.result(30)
        ids = [self.world.register(f"{self.events}-value", s) for s in SCHEMAS]
        self.audit = proof.Audit(self.build / "bin/sendmill", self.prefix)
        self.door = Door(self.world.env["S3_ENDPOINT"], random.Random(self.seed + 1))
        self.keys = Keys(self.world, self.tmp)
        rows = self.args.rows
        per_second = 2.5 * rows / max(20, self.args.n / 2 * self.args.pace)
        self.load = Load(self.world.env["BROKERS"], self.events, self.raw, ids, rows, per_second,
                         self.seed + 2)
        self.sinks = [Sink(n, self.command(), self.sink_env(), self.tmp) for n in range(SINKS + 1)]
        for s in self.sinks[:SINKS]:
            s.start()
        self.supervisor = Supervisor(self.sinks)
        self.supervisor.start()
        self.load.start()

    def command(self) -> list[str]:
        env = self.world.env
        return [str(self.build / "bin/mill-sink-parquet"), f"--brokers={env['BROKERS']}",
                f"--registry={env['REGISTRY']}", f"--in.topics={self.events},{self.raw}",
                f"--group=lake-{self.id}", f"--s3-endpoint={self.door.url}",
                f"--s3-bucket={env['S3_BUCKET']}", f"--s3-prefix={self.prefix}",
                f"--flush={FLUSH_S}s", "--roll-rows=3000", f"--raw-topics={self.raw}",
                f"--failures-topic={self.failures}",
                f"--event-time={self.events}:at", f"--hours={self.events}", "--s3-timeout=5s",
                "--meta-columns=_topic,_partition,_offset,_timestamp,_key",
                "--rdkafka.session.timeout.ms=6000", "--rdkafka.max.poll.interval.ms=30000"]

    def sink_env(self) -> dict[str, str]:
        own = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        return {**own, "AWS_SHARED_CREDENTIALS_FILE": str(self.keys.file)}

    # ---- the faults ----

    def wait_first(self) -> None:
        """Faults to a group that has not begun would tell little."""
        self.load.progress = 1 / self.args.n
        until = time.monotonic() + 120
        while not self.audit.keys("") and time.monotonic() < until:
            time.sleep(0.5)

    def strike(self, fault) -> None:
        begun, said = time.monotonic(), ""
        try:
            fault.do()
            with self.lock:
                self.struck[fault.name] += 1
        except NotReached:
            with self.lock:
                self.unreached += 1
                self.taken -= 1
            said = " (not reached)"
        except Exception as e:
            with self.lock:
                self.bad.append(f"{fault.name}: {type(e).__name__}: {e}")
            said = f" FAILED: {e}"
        self.load.progress = min(1.0, (self.struck.total() + 1) / self.args.n)
        print(f"{begun - self.began:6.0f} s {self.struck.total():4d} {fault.name} "
              f"[{time.monotonic() - begun:.1f} s]{said}; rows {self.load.made}", flush=True)

    def lane(self, pool, rng: random.Random) -> None:
        faults = catalogue.draw([f for f in pool if self.args.only in f.name], 2 * self.args.n, rng)
        for fault in faults:
            with self.lock:
                if self.taken >= self.args.n or self.bad:
                    return
                self.taken += 1
            begun = time.monotonic()
            self.strike(fault)
            # What a fault has left behind goes on while the next comes; not always.
            rest = self.rng.uniform(0, self.args.pace - (time.monotonic() - begun))
            if rest > 0:
                time.sleep(rest)

    def harm(self) -> None:
        self.wait_first()
        processes = catalogue.Processes(self.world, self.supervisor, self.sinks[SINKS],
                                        random.Random(self.seed + 3), not self.args.no_broker)
        outages = catalogue.Outages(self.world, self.door, self.keys)
        lanes = [threading.Thread(target=self.lane, args=(p.all, random.Random(self.seed + n)))
                 for n, p in ((5, processes), (6, outages))]
        for t in lanes:
            t.start()
        for t in lanes:
            t.join()
        self.load.progress = 1.0
        self.load.join(900)
        if self.load.is_alive():
            self.bad.append(f"the load did not end: {self.load.made} of {self.load.rows}")

    # ---- the end ----

    def visible(self) -> bool:
        """Has the lake a name for the last offset of each partition?"""
        reach: dict[tuple[str, int], int] = {}
        for key in self.audit.keys(""):
            topic, _, partition, span = key.rsplit("/", 1)[1].split("+")
            place = (topic, int(partition))
            reach[place] = max(reach.get(place, 0), int(span.removesuffix(".parquet").split("-")[1]))
        return all(reach.get(place, 0) >= end for place, end in self.targets.items())

    def wait_visible(self, limit_s: float) -> float:
        begun = time.monotonic()
        while not self.visible():
            if time.monotonic() - begun > limit_s:
                return limit_s
            time.sleep(0.25)
        return time.monotonic() - begun

    def settle(self) -> None:
        """All in the lake; then the last rows of a quiet topic, by the wall clock alone."""
        brokers = self.world.env["BROKERS"]
        self.mark()
        took = self.wait_visible(SETTLE_S)
        self.notes.append(f"all in the lake {took:.1f} s after the last fault and record")
        if took >= SETTLE_S:
            self.bad.append(f"not all in the lake after {SETTLE_S} s")
            return
        waits = []
        for _ in range(self.args.rounds):
            self.load.last()
            self.targets = proof.ends(brokers, self.topics)
            waits.append(self.wait_visible(2 * VISIBLE_S))
        self.notes.append(f"quiet topics, flush {FLUSH_S} s: last row visible after "
                          + ", ".join(f"{w:.1f} s" for w in waits))
        if max(waits) > VISIBLE_S:
            self.bad.append(f"a last row was visible only after {max(waits):.1f} s")

    # ---- what the lake must outlive ----

    def end_sinks(self) -> None:
        for s in self.sinks:
            code = s.end() if s.wanted else 0
            if code:
                self.bad.append(f"sink {s.number} ended with {code}")

    def again(self, group: str, what: str) -> None:
        """The sinks under this group, and a record more in each partition."""
        for s in self.sinks[:SINKS]:
            s.command = [f"--group={group}" if c.startswith("--group=") else c for c in s.command]
            s.start()
        self.mark()
        took = self.wait_visible(SETTLE_S)
        if took >= SETTLE_S:
            self.bad.append(f"{what}: not all in the lake after {SETTLE_S} s")
        self.end_sinks()
        self.notes.append(f"{what}: goes on where the lake ends, {took:.1f} s")

    def outlive(self) -> None:
        """A group without offsets, as after their retention; another group. The proof comes after."""
        group, until = f"lake-{self.id}", time.monotonic() + 60
        self.end_sinks()
        while True:
            try:
                self.admin.delete_consumer_groups([group])[group].result(30)
                break
            except KafkaException:  # its static members have not timed out yet
                if time.monotonic() > until:
                    raise
                time.sleep(1)
        self.again(group, "the group's offsets are gone")
        self.again(f"{group}-renamed", "the group is renamed")

    def recreated(self, rows: int) -> list[str]:
        """A topic made anew under its name: beside what the old one left, nothing in its place."""
        folder = f"topic={self.raw}/"
        before = set(self.audit.keys(folder))
        self.admin.delete_topics([self.raw])[self.raw].result(60)
        until = time.monotonic() + 60
        while True:
            try:
                self.admin.create_topics([NewTopic(self.raw, RAW_PARTITIONS, 1)])[self.raw].result(30)
                break
            except KafkaException:  # its deletion is under way
                if time.monotonic() > until:
                    raise
                time.sleep(1)
        for s in self.sinks[:SINKS]:
            s.start()
        self.load.last()
        until = time.monotonic() + SETTLE_S
        while (len(set(self.audit.keys(folder)) - before) < RAW_PARTITIONS
               and time.monotonic() < until):
            time.sleep(0.5)
        self.end_sinks()
        self.notes.append("the raw topic was made anew under its name")
        after = set(self.audit.keys(folder))
        bad = [] if before < after else ["the topic made anew: objects of the old one are gone"]
        return bad + self.audit.agrees(rows + EVENT_PARTITIONS + RAW_PARTITIONS)

    def mark(self) -> None:
        """Markers have offsets, and no row: the last record of each partition is what must be there."""
        self.load.last()
        self.targets = proof.ends(self.world.env["BROKERS"], self.topics)

    def prove(self) -> tuple[str, bool]:
        rows = proof.truth(self.world.env["BROKERS"], self.topics, self.tmp / "truth.parquet")
        found = proof.Proof(self.prefix, self.events, self.raw, self.tmp / "truth.parquet")
        found.failed(proof.failures(self.world.env["BROKERS"], self.failures, FAILURE_PARTITIONS))
        audit = self.audit.agrees(rows)
        audit += self.audit.detects(self.events, self.rng)
        audit += [] if self.args.short else self.recreated(rows)
        self.notes.append(f"objects {found.objects}, rejected rows {found.rejected}")
        self.bad += found.bad + audit
        last = (f"lake {self.struck.total()}: rows {rows}, missing {found.missing}, "
                f"double {found.double}, audit {'FAILED' if audit else 'ok'}")
        return last, not found.missing and not found.double

    def sanitizers(self) -> None:
        for log in sorted(self.tmp.glob("sink*.log")):
            with open(log, errors="replace") as f:
                self.bad += [f"{log.name}: {line.strip()[:300]}" for line in f
                             if "Sanitizer" in line or ": runtime error: " in line][:5]

    def tell(self, last: str) -> list[str]:
        exits = self.supervisor.exits
        self.bad += [f"a sink ended with {c}, {n} times" for c, n in exits.items() if c not in EXITS]
        self.notes.append(f"sinks started anew after exit codes {dict(exits)}; points not reached "
                          f"{self.unreached}; requests harmed {dict(self.door.counts)}")
        self.notes += sorted(set(self.load.by_hand))
        table = ["| fault | times |", "|---|---|"]
        table += [f"| {name} | {n} |" for name, n in sorted(self.struck.items())]
        took = f"{(time.monotonic() - self.began) / 60:.1f} min"
        return [*table, "", *[f"- {n}" for n in [took, *self.notes]],
                *[f"- FAILED: {b}" for b in self.bad[:40]], last]

    def down(self) -> None:
        self.supervisor.stop.set()
        for s in self.sinks:
            if s.proc and s.proc.poll() is None:
                s.proc.kill()
                s.proc.wait()


def commit() -> str:
    return subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], text=True,
                          capture_output=True, check=False).stdout.strip()


def keep(lines: list[str], command: str, built: str) -> None:
    (HERE / "RESULTS.md").write_text(
        "# The lake's faults: the last long run\n\n"
        f"`{command}` at {built}, {time.strftime('%Y-%m-%d', time.gmtime())}, "
        f"{os.cpu_count()} processors, optimised build with fault points:\n\n"
        f"**{lines[-1]}**\n\n" + "\n".join(lines[:-1]) + "\n")


def main() -> int:
    args = arguments()
    seed = int(os.environ.get("MILL_SEED", "1"))
    run, lines, ok, built = Run(args, seed), [], False, commit()
    try:
        run.up()
        run.harm()
        run.settle()
        run.end_sinks() if args.short else run.outlive()
        last, ok = run.prove()
        run.sanitizers()
        lines = run.tell(last)
        ok = ok and not run.bad
        print("\n".join(lines), flush=True)
        if args.keep:
            keep(lines, f"MILL_SEED={seed} tests/run lake {args.n} --rows {args.rows}", built)
    finally:
        if hasattr(run, "supervisor"):
            run.down()
        run.world.down()
        if ok:
            shutil.rmtree(run.tmp)
        else:
            print(f"logs: {run.tmp}", file=sys.stderr)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
