"""Broker, registry and S3 of a run, and the sinks, which are started here as a supervisor would."""
import contextlib
import json
import os
import signal
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / "deploy/local"
SESSION_S = 6       # of the group, here; who is stopped for longer wakes up stale
PAST_S = SESSION_S + 2.5
ARMED_S = 25        # a point that nothing passes in this time is not reached
FLUSH_S = 10        # Must hold: the last row is visible within 15 s
AGAIN_S = 1         # until a process that ended is started anew


class NotReached(Exception):
    """The armed point was not passed; nothing has happened."""


class World:
    """An instance of deploy/local: its own, the one that MILL_LAKE_INSTANCE names, or the one that
    the e2e tests of a lane share."""

    def __init__(self):
        self.name = os.environ.get("MILL_LAKE_INSTANCE", os.environ.get("MILL_E2E_NAME", ""))
        self.own = not self.name
        self.env: dict[str, str] = {}

    def up(self) -> None:
        if self.own:
            self.name = f"lake-{os.getpid()}"
            subprocess.run([LOCAL / "up", "--name", self.name, "--base", "auto", "--only",
                            "broker,registry,s3"], check=True, timeout=400)
        text = subprocess.run([LOCAL / "env", "--name", self.name], check=True,
                              capture_output=True, text=True).stdout
        for line in text.splitlines():
            key, _, value = line.removeprefix("export ").partition("=")
            self.env[key] = value.strip("'")
        os.environ.update(self.env)

    def down(self) -> None:
        if self.own and self.env:
            subprocess.run([LOCAL / "down", "--name", self.name, "--wipe"], capture_output=True)

    def ctl(self, *words: str) -> None:
        subprocess.run([LOCAL / "ctl", "--name", self.name, *words], check=True,
                       capture_output=True, timeout=200)

    def register(self, subject: str, schema: dict) -> int:
        req = urllib.request.Request(
            f"{self.env['REGISTRY']}/subjects/{subject}/versions",
            json.dumps({"schema": json.dumps(schema)}).encode(),
            {"Content-Type": "application/vnd.schemaregistry.v1+json"})
        return json.load(urllib.request.urlopen(req))["id"]


class Sink:
    """One process of the group. Who ends it otherwise than by end() leaves the rest to Supervisor."""

    def __init__(self, number: int, command: list[str], env: dict[str, str], folder: Path):
        self.number, self.command = number, [*command, f"--instance={number}"]
        self.point = folder / f"point{number}"
        self.env = {**env, "MILL_FAULT_FILE": str(self.point)}
        self.log = open(folder / f"sink{number}.log", "ab")
        self.proc: subprocess.Popen | None = None
        self.wanted = False
        self.lock = threading.Lock()
        self.ended_at = 0.0

    def start(self) -> None:
        with self.lock:
            self.wanted, self.ended_at = True, 0.0
            self.proc = subprocess.Popen(self.command, stdout=self.log, stderr=self.log,
                                         env=self.env)

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.proc.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def away(self, seconds: float) -> None:
        """Killed, and not there for a while."""
        with self.lock:
            self.wanted = False
        self.signal(signal.SIGKILL)
        self.proc.wait()
        time.sleep(seconds)
        self.start()

    def freeze(self, seconds: float) -> None:
        self.signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.signal(signal.SIGCONT)

    def end(self, limit_s: float = 60) -> int:
        """Asked to end; its exit code."""
        with self.lock:
            self.wanted = False
        self.signal(signal.SIGTERM)
        try:
            return self.proc.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.proc.wait()
            return -1

    def arm(self, line: str) -> None:
        """Wait until the point was passed and the fault has happened (base/fault.h)."""
        fired, until = Path(f"{self.point}.fired"), time.monotonic() + ARMED_S
        fired.unlink(missing_ok=True)
        new = Path(f"{self.point}.new")
        new.write_text(line + "\n")
        new.rename(self.point)
        while not fired.exists():
            if time.monotonic() > until:
                with contextlib.suppress(FileNotFoundError):
                    self.point.rename(f"{self.point}.back")  # whoever renames it first has it
                    raise NotReached(line)
            time.sleep(0.02)

    def stop_at(self, point: str, count: int, seconds: float) -> None:
        self.arm(f"{point} stop {count}")
        time.sleep(seconds)
        self.signal(signal.SIGCONT)


class Supervisor(threading.Thread):
    """Starts anew whatever has ended without being asked, and keeps with which exit code it did."""

    def __init__(self, sinks: list[Sink]):
        super().__init__(daemon=True)
        self.sinks, self.exits = sinks, Counter()
        self.stop = threading.Event()

    def due(self, s: Sink) -> bool:
        """Is it to be started?"""
        with s.lock:
            if not s.wanted or s.proc.poll() is None:
                return False
            if not s.ended_at:
                s.ended_at = time.monotonic()
                self.exits[s.proc.returncode] += 1
            return time.monotonic() > s.ended_at + AGAIN_S

    def run(self):
        while not self.stop.wait(0.1):
            for s in list(self.sinks):
                if self.due(s):
                    s.start()
