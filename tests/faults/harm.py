"""Hands on the stack: signals, armed fault points, and waiting until a part is well again."""
import contextlib
import os
import signal
import time
from pathlib import Path

import lab
from stack import cmd_up, instance, supervise
from stack.base import Fail

SESSION_S = 10  # the group's session timeout: who is stopped for longer wakes as a stale owner
ARMED_S = 8     # a point that no record passes in this time is not reached


class NotReached(Exception):
    """The armed point was not passed; nothing has happened."""


class Harm:
    """One running instance."""

    def __init__(self, name: str, points: Path | None):
        self.i = instance.load(name)
        self.points = points
        self.parts = set(supervise.states(self.i))

    def sanitizers(self) -> list[str]:
        """What ASan and UBSan have said in the parts' logs."""
        found = []
        for log in sorted(self.i.path("log").glob("*.log*")):
            with open(log, errors="replace") as f:
                found += [f"{log.name}: {line.strip()[:300]}" for line in f
                          if "Sanitizer" in line or ": runtime error: " in line]
        return found

    def pid(self, part: str) -> int:
        until = time.monotonic() + 60
        while True:
            try:
                return supervise.pid(self.i, part)
            except Fail:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def well(self, part: str, limit_s: float = 400) -> None:
        """Wait until it says that it is ready."""
        ready = cmd_up.ready_test(self.i, part)
        lab.wait_for(f"{part} ready", ready, limit_s, 0.1)

    def signal(self, part: str, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid(part), number)

    def kill(self, part: str) -> None:
        """kill -9; the supervisor starts it anew."""
        was = self.pid(part)
        self.signal(part, signal.SIGKILL)
        self.anew(part, was)

    def anew(self, part: str, was: int) -> None:
        lab.wait_for(f"{part} started anew", lambda: self.pid(part) != was, 200, 0.1)
        self.well(part)

    def freeze(self, part: str, seconds: float) -> None:
        self.signal(part, signal.SIGSTOP)
        self.thaw(part, seconds)

    def thaw(self, part: str, seconds: float) -> None:
        time.sleep(seconds)
        self.signal(part, signal.SIGCONT)  # a stopped one has not ended: it is still this part's
        time.sleep(1)  # a stale owner finds out, and may end
        self.well(part)

    def bounce(self, part: str, seconds: float) -> None:
        """Stopped in order, down for a while, started."""
        supervise.stop(self.i, part)
        time.sleep(seconds)
        supervise.start(self.i, part)
        self.well(part)

    # ---- fault points (stages/runtime/base/fault.h) ----

    def arm(self, part: str, line: str) -> None:
        file = self.points / part
        Path(f"{file}.fired").unlink(missing_ok=True)
        new = Path(f"{file}.new")
        new.write_text(line + "\n")
        new.rename(file)

    def fired(self, part: str, limit_s: float = ARMED_S) -> None:
        """Wait until the armed fault has happened; take it back when it does not."""
        file, until = self.points / part, time.monotonic() + limit_s
        while not Path(f"{file}.fired").exists():
            if time.monotonic() > until:
                with contextlib.suppress(FileNotFoundError):
                    file.rename(f"{file}.back")  # whoever renames it first has it
                    raise NotReached(file.name)
            time.sleep(0.02)

    def kill_at(self, part: str, point: str, count: int) -> None:
        was = self.pid(part)
        self.arm(part, f"{point} kill {count}")
        self.fired(part)
        self.anew(part, was)

    def stop_at(self, part: str, point: str, count: int, seconds: float) -> None:
        self.arm(part, f"{point} stop {count}")
        self.fired(part)
        self.thaw(part, seconds)

    def kill_on_assign(self, part: str) -> None:
        """Killed, and killed again when it has its partitions and reads its tables."""
        was = self.pid(part)
        self.arm(part, "assign.after-committed kill")
        self.signal(part, signal.SIGKILL)
        self.fired(part, 40)
        self.anew(part, was)
