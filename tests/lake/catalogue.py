"""The faults: what each does, in which lane, how often it is drawn."""
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from s3_faults import REFUSALS, Door
from world import PAST_S, Sink, Supervisor, World

POINTS = ["sink.after-plan", "sink.after-put", "sink.before-commit"]


@dataclass
class Fault:
    name: str  # row of the table
    do: Callable[[], None]
    weight: float = 1.0


class Processes:
    """What happens to the group's members, and to the broker."""

    def __init__(self, world: World, supervisor: Supervisor, spare: Sink, rng: random.Random,
                 broker: bool):
        self.world, self.supervisor, self.spare, self.rng = world, supervisor, spare, rng
        self.broker_at = 0.0
        self.all = [Fault("kill -9", lambda: self.one().kill(), 2),
                    Fault("kill -9, away past the session", lambda: self.one().away(PAST_S)),
                    Fault("kill -9 all", self.kill_all, 0.5),
                    Fault("kill -9 as it gets its partitions", self.kill_twice),
                    Fault("stop past the session", lambda: self.one().freeze(PAST_S), 2),
                    Fault("stop for a moment", lambda: self.one().freeze(2), 0.5),
                    Fault("a member more or less", self.member, 2)]
        for p in POINTS:
            self.all += [
                Fault(f"kill -9 at {p}", lambda p=p: self.one().arm(f"{p} kill {self.some()}")),
                Fault(f"stop past the session at {p}",
                      lambda p=p: self.one().stop_at(p, self.some(), PAST_S))]
        if broker:
            self.all.append(Fault("restart broker", self.bounce, 0.2))

    def one(self) -> Sink:
        return self.rng.choice([s for s in self.supervisor.sinks if s.wanted])

    def some(self) -> int:
        return self.rng.randint(1, 3)

    def kill_all(self):
        for s in self.supervisor.sinks:
            s.kill()

    def kill_twice(self):
        s = self.one()
        s.kill()
        s.arm("assign.after-committed kill")

    def member(self):
        """The group grows by one, or loses it again, which ends in order."""
        if self.spare.wanted:
            code = self.spare.end()
            if code:
                self.supervisor.exits[code] += 1
        else:
            self.spare.start()

    def bounce(self):
        # Two restarts within a minute left the broker's group coordinator FAILED.
        time.sleep(max(0.0, self.broker_at + 60 - time.monotonic()))
        self.world.ctl("stop", "broker")
        self.world.ctl("start", "broker")
        self.broker_at = time.monotonic()


class Outages:
    """What happens to S3. Each ends with all well again."""

    def __init__(self, world: World, door: Door, keys):
        self.world, self.door, self.keys = world, door, keys
        self.all = [self.through("down: connections are reset", "down"),
                    self.through("slow: 0.5 to 8 s a request", "slow", 10),
                    self.through("reset in mid-body", "reset", 4),
                    self.through("a third is reset in mid-body", "reset", 8, 0.33),
                    self.through("the answer to a PUT is lost", "lost", 4),
                    self.through("the answer to each third PUT is lost", "lost", 8, 0.33),
                    self.through("each second request is told to slow down (503)", "503", 8, 0.5),
                    Fault("S3: server is away", self.away, 1),
                    Fault("S3: server is killed with -9", self.killed, 0.5),
                    Fault("S3: credentials expire, new ones come 3 s later", self.expire, 2)]
        self.all += [self.through(f"all is refused: {status} {code}", mode)
                     for mode, (status, code) in REFUSALS.items()]

    def through(self, name: str, mode: str, seconds: float = 6, share: float = 1.0) -> Fault:
        def do():
            self.door.harm(mode, share)
            try:
                time.sleep(seconds)
            finally:
                self.door.harm("")
        return Fault("S3: " + name, do)

    def away(self):
        self.world.ctl("stop", "s3")
        time.sleep(4)
        self.world.ctl("start", "s3")

    def killed(self):
        self.world.ctl("kill", "-9", "s3")
        self.world.ctl("wait", "s3")

    def expire(self):
        """The old keys are worth nothing from now on; the file has the new ones a little later."""
        self.keys.expire()
        time.sleep(3)
        self.keys.rotate()
        time.sleep(3)


def draw(pool: list[Fault], n: int, rng: random.Random) -> list[Fault]:
    """n faults by weight; while n allows it, each of them once before any twice."""
    drawn = pool[:]
    rng.shuffle(drawn)
    if pool:
        drawn += rng.choices(pool, [f.weight for f in pool], k=n)
    return drawn[:n]
