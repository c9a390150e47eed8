"""tests/run faults N: N faults against a whole local stack under load; nothing accepted may be lost,
nobody may get a mail twice. See README.md."""
import argparse
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "deploy/local"), str(ROOT / "tests/e2e")]

BROKER_REST_S = 45  # two restarts of the broker within a minute left its group coordinator FAILED
COLUMNS = ["requests", "calls", "duplicates", "lost", "unknown", "settled"]


def arguments() -> argparse.Namespace:
    ap = argparse.ArgumentParser(prog="tests/run faults", description=__doc__)
    ap.add_argument("n", type=int, nargs="?", default=40, help="how many faults (40)")
    ap.add_argument("--shared", action="store_true", help="the stack of the e2e tests, as it runs")
    ap.add_argument("--only", default="", help="only faults whose name holds this text")
    ap.add_argument("--minutes", type=float, default=1e9, help="begin no fault after so long")
    ap.add_argument("--keep", action="store_true", help="write RESULTS.md")
    return ap.parse_args()


class Stack:
    """An instance of this run alone, with a second send, short waits and armed points."""

    def __init__(self, shared: bool):
        from stack.base import STATE
        self.shared = shared
        self.stay = os.environ.get("MILL_FAULTS_LEAVE") == "up"
        env = os.environ
        if not shared:
            env["MILL_E2E_NAME"] = env.get("MILL_FAULTS_NAME", "faults")
            env.setdefault("SENDMILL_BUILD", str(ROOT / "build/faults"))
            env["SENDMILL_TOPOLOGY"] = f"{ROOT}/deploy/topology.json:{HERE}/overlay.json"
            env["MILL_SEND_PROVIDERS"] = "sendgrid:2,mailgun:1"
            env["MILL_SEND_CALL_TIMEOUT_MS"] = "4s"
            env["MILL_SEND_CREDENTIAL_PAUSE_MS"] = "2s"
            env["MILL_SEND_BREAKER_OPEN_MAX_MS"] = "5s"
            env["MILL_SEND_UNKNOWN_WAIT_MS"] = "30s"  # not less than intent-max-ms
        self.name = env["MILL_E2E_NAME"]
        self.dir = STATE / self.name
        self.points = self.dir / "points"
        env["MILL_FAULT_DIR"] = str(self.points)
        self.disk = None

    def local(self, command: str, *args: str) -> None:
        subprocess.run([ROOT / "deploy/local" / command, "--name", self.name, *args], check=True)

    def up(self) -> None:
        if not self.shared:
            from disk import Disk
            self.disk = Disk(self.dir / "data/broker")
            if self.stay and self.disk.again():
                return
            self.local("down", "--wipe")
            if os.geteuid() == 0:
                self.disk.mount()
            else:
                print("skipped: broker's disk full: it needs root", flush=True)
            self.local("up", "--base", "auto")
        self.points.mkdir(parents=True, exist_ok=True)

    def down(self) -> None:
        if self.shared or self.stay:
            return
        self.local("down")
        if self.disk:
            self.disk.unmount()
        if "MILL_FAULTS_LEAVE" not in os.environ:
            self.local("down", "--wipe")


class Run:
    """Strikes faults in one or two lanes and remembers which."""

    def __init__(self, catalogue, book, account, until: float):
        self.catalogue, self.book, self.account, self.until = catalogue, book, account, until
        self.lock = threading.Condition()
        self.busy: set[str] = set()
        self.broker_at = -1e9
        self.struck: list[str] = []
        self.failed: list[str] = []
        self.missed = 0
        self.began = time.monotonic()

    def end(self) -> None:
        """Begin no other fault."""
        self.until = 0

    def over(self) -> bool:
        return time.monotonic() > self.until or bool(self.failed)

    def take(self, fault) -> None:
        with self.lock:
            self.lock.wait_for(lambda: not fault.parts & self.busy)
            self.busy |= fault.parts
        if "broker" in fault.parts:
            time.sleep(max(0, self.broker_at + BROKER_REST_S - time.monotonic()))

    def give(self, fault) -> None:
        if "broker" in fault.parts:
            self.broker_at = time.monotonic()
        with self.lock:
            self.busy -= fault.parts
            self.lock.notify_all()

    def strike(self, fault) -> None:
        from harm import NotReached
        self.take(fault)
        begun, said = time.monotonic(), ""
        try:
            self.book.fault = fault.name
            fault.do()
            self.struck.append(fault.name)
        except NotReached:
            self.missed += 1
            said = " (not reached)"
        except Exception as e:  # a part that does not come back: all that follows would tell nothing
            self.failed.append(f"{fault.name}: {type(e).__name__}: {e}")
            said = f" FAILED: {self.failed[-1]}"
        finally:
            self.give(fault)
        print(f"{begun - self.began:6.0f} s {len(self.struck):4d} {fault.name} "
              f"[{time.monotonic() - begun:.1f} s]{said}; accepted {len(self.book.accepted)}",
              flush=True)

    def lane(self, faults, n: int) -> None:
        for fault in faults:
            if self.over() or len(self.struck) >= n:
                return
            self.strike(fault)

    def some(self, n: int) -> None:
        """n that are soon over, one after another."""
        self.lane(self.catalogue.draw(False, 2 * n), n)

    def all(self, n: int) -> None:
        """Up to four in ten, and each once at most, one after another; then two lanes side by side."""
        self.lane(self.catalogue.draw(None, n), min(n * 4 // 10 or 1, len(self.catalogue.all)))
        lanes = [threading.Thread(target=self.lane, args=(self.catalogue.draw(long, 2 * n), n))
                 for long in (True, False)]
        for t in lanes:
            t.start()
        for t in lanes:
            t.join()


def table(sums, struck) -> list[str]:
    rows = ["| fault | times | requests | calls | duplicates | lost | unknown | settled by evidence |",
            "|---|---|---|---|---|---|---|---|"]
    for name in sorted(set(sums.rows) | set(struck)):
        row = sums.rows.get(name, {})
        rows.append(f"| {name} | {struck.count(name)} | "
                    + " | ".join(str(row.get(c, 0)) for c in COLUMNS) + " |")
    rows.append(f"| **all** | {len(struck)} | "
                + " | ".join(str(sums.total[c]) for c in COLUMNS) + " |")
    return rows


def tell(run, book, account, sums) -> tuple[list[str], bool]:
    total = sums.total
    last = (f"faults {len(run.struck)}: accepted {len(book.accepted)}, calls {total['calls']}, "
            f"second calls {total['duplicates']}, lost {len(sums.lost)}, unknown {total['unknown']}, "
            f"settled {total['settled']}")
    notes = [f"points that no record passed in time: {run.missed}; other answers to clients: "
             f"{dict(book.answers)}; cancelled {book.cancelled}; records read {dict(account.read)}"]
    waits, doubled = account.waits, account.doubled()
    notes += [f"letters of held mails: {sum(account.holds.values())} of "
              f"{sum(n > 0 for n in account.holds.values())} holds; records in the delay topics: "
              f"{sum(waits.values())} of {len(waits)} mails, most of one {max(waits.values(), default=0)}"]
    run.failed += run.catalogue.harm.sanitizers()[:20]
    notes += [f"FAILED: {f}" for f in run.failed]
    notes += [f"second call: {i} × {n} ({book.accepted.get(i)}): {account.of(i)}"
              for i, n in list(sums.second.items())[:20]]
    notes += [f"lost: {i} ({book.accepted[i]}): {account.of(i)}" for i in sums.lost[:20]]
    notes += [f"one key, two ids: {s}" for s in book.split[:20]]
    notes += [f"a dead letter without a reason: {k}" for k in account.unreasoned[:20]]
    notes += [f"letters of one hold: {i}" for i in doubled[:20]]
    ok = sums.ok() and not (run.failed or book.split or account.unreasoned or doubled)
    return [*table(sums, run.struck), "", *notes, last], ok


def conditions() -> str:
    """Which commit, when, on what, built how."""
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], text=True,
                            capture_output=True, check=False).stdout.strip()
    cache = Path(os.environ["SENDMILL_BUILD"], "CMakeCache.txt").read_text()
    sanitized = re.search(r"^MILL_SANITIZE:\w+=(\S+)$", cache, re.M)
    return (f"{commit}, {time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} processors, built "
            + (f"with sanitizers ({sanitized[1]})" if sanitized else "without sanitizers"))


def keep(lines: list[str], command: str, built: str) -> None:
    (HERE / "RESULTS.md").write_text(
        "# Faults: the last long run\n\n"
        f"`{command}` at {built}, load of the machine in the end {os.getloadavg()[2]:.0f}:\n\n"
        f"**{lines[-1]}**\n\n" + "\n".join(lines[:-1]) + "\n")


def play(args, stack, seed: int) -> bool:
    import account as accounts
    import catalogue
    import hanging
    import lab
    import load
    from harm import Harm
    from remedy import Remedy
    built = conditions()
    lab.forget_calls()
    lab.behave(None)
    rate = float(os.environ.get("MILL_FAULTS_RATE", "60"))
    # There unknown_wait is as it ships: who is UNKNOWN is held, in a delay topic.
    book, account = load.Book(), accounts.Account({"UNKNOWN"} if args.shared else set())
    account.start()
    watch = hanging.Watch(lab.ENV["BROKERS"])
    watch.start()
    harm = Harm(stack.name, stack.points)
    faults = catalogue.Catalogue(harm, stack.disk, random.Random(seed))
    faults.all = [f for f in faults.all if args.only in f.name]
    workers = load.start(book, rate, seed)
    run = Run(faults, book, account, time.monotonic() + args.minutes * 60)
    signal.signal(signal.SIGTERM, lambda *_: run.end())
    remedy = Remedy(lab.ENV["BROKERS"], harm, run)
    remedy.start()
    time.sleep(2)
    run.some(args.n) if args.shared else run.all(args.n)
    book.fault = "none"
    time.sleep(2)
    load.end(workers)
    left = account.wait(book)
    watch.stop.set()
    remedy.stop.set()
    account.stop.set()
    account.join(20)
    lines, ok = tell(run, book, account, accounts.Sums(book, account, lab.calls(), left))
    lines.insert(-1, f"left hanging by the broker (KAFKA-20734), ended as it had decided: {watch.ended}; "
                     f"restarts of the broker as it held offsets of no transaction: {remedy.done}")
    print("\n".join(lines), flush=True)
    if args.keep and not run.failed:
        keep(lines, f"MILL_SEED={seed} MILL_FAULTS_RATE={rate:.0f} tests/run faults {args.n}", built)
    return ok and len(run.struck) > 0


def main() -> int:
    args = arguments()
    stack = Stack(args.shared)
    try:
        stack.up()
        return 0 if play(args, stack, int(os.environ.get("MILL_SEED", "1"))) else 1
    finally:
        stack.down()


if __name__ == "__main__":
    sys.exit(main())
