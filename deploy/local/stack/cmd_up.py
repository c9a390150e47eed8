"""deploy/local/up [--name N] [--base PORT|auto] [--only PART,…]: start the stack, or parts of it."""
import argparse
import time
from pathlib import Path
from . import cmd_setup, infra, instance, processes, supervise, topology
from .base import Fail, main, say, tail


def _wanted(only: str | None, procs: list[str]) -> list[str]:
    """The parts to start, in order, with what they need. 'topics' stands between the two kinds."""
    order = [*infra.NAMES, "topics", *procs]
    if only is None:
        return order
    names = {n.strip() for n in only.split(",") if n.strip()}
    if "processes" in names:
        names = names - {"processes"} | {*procs}
    unknown = names - {*order}
    if unknown:
        raise Fail(f"--only {', '.join(sorted(unknown))}: not among {' '.join(order)}", 2)
    if "topics" in names:
        names |= {"broker", "registry"}
    for n in list(names):
        names |= {*infra.NEEDS.get(n, [])}
    return [n for n in order if n in names]


class Starter:
    """Starts programs and waits until they are ready."""

    def __init__(self, i: instance.Instance):
        self.i = i
        self.limit_s: dict[str, int] = {}
        self.binary: dict[str, Path] = {}

    def install(self, programs: list[supervise.Program]) -> None:
        self.limit_s.update({p.name: p.ready_s for p in programs})
        self.binary.update({p.name: Path(p.argv[0]) for p in programs})
        supervise.install(self.i, programs)

    def start(self, name: str, ports: list[int]) -> bool:
        """False when it runs already. One whose program was built anew since is restarted."""
        state = supervise.states(self.i).get(name, {})
        if state.get("statename") in ("RUNNING", "STARTING"):
            binary = self.binary.get(name)
            if not (binary and binary.exists() and binary.stat().st_mtime > state["start"] + 1):
                return False
            supervise.stop(self.i, name)
        for port in ports:
            if not instance.port_free(port):
                raise Fail(f"{name}: port {port} is in use by something else; "
                           f"choose another with --base or SENDMILL_PORT_…")
        supervise.start(self.i, name)
        return True

    def wait(self, name: str, ready) -> None:
        start, told = time.monotonic(), time.monotonic()
        while not ready():
            state = supervise.states(self.i).get(name, {})
            now = time.monotonic()
            if state.get("statename") == "FATAL" or now - start > self.limit_s.get(name, 180):
                raise Fail(f"{name} is not ready after {now - start:.0f} s "
                           f"({state.get('statename', 'unknown').lower()}: "
                           f"{state.get('spawnerr') or state.get('description', '')}); "
                           f"the end of {self.i.log(name)}:\n{tail(self.i.log(name))}")
            if now - told > 10:
                say(f"  … {name}: {now - start:.0f} s")
                told = now
            time.sleep(0.15)

    def up(self, jobs: list[tuple]) -> None:
        """Start (name, ports, ready) at the same time, wait for each."""
        begun = time.monotonic()
        new = [j for j in jobs if self.start(j[0], j[1])]
        for name, _, ready in jobs:
            self.wait(name, ready)
        if new:
            say(f"{', '.join(j[0] for j in new)}: ready ({time.monotonic() - begun:.1f} s)")


def ready_test(i: instance.Instance, part: str):
    """A function that tells whether a part (infrastructure or process) is ready."""
    if part in infra.NAMES:
        return lambda: infra.is_ready(i, part)
    process = next(p for p in topology.processes(i) if p.name == part)
    return lambda: processes.is_ready(process)


def _infra_jobs(i, names):
    return [(n, [i.ports[p] for p in infra.ports(n)], lambda n=n: infra.is_ready(i, n))
            for n in names]


def _start_infra(s: Starter, i: instance.Instance, want: list[str]) -> None:
    names = [n for n in infra.NAMES if n in want]
    s.install([infra.program(i, n) for n in names])
    # The registry keeps its data in the broker; the others wait for nobody.
    s.up(_infra_jobs(i, [n for n in names if n not in infra.NEEDS]))
    s.up(_infra_jobs(i, [n for n in names if n in infra.NEEDS]))
    if "s3" in want:
        infra.make_bucket(i)


def _start_processes(s: Starter, i: instance.Instance, procs: list[topology.Process]) -> None:
    known = processes.values(i)
    supervise.forget(i, {*infra.NAMES, *(p.name for p in topology.processes(i))})
    s.install([processes.program(i, p, known) for p in procs])
    jobs = []
    for p in procs:
        ports = [p.status_port] + ([i.ports["ingest"]] if p.name == "ingest" else [])
        jobs.append((p.name, ports, lambda p=p: processes.is_ready(p)))
    s.up(jobs)


def up(name: str, base: str | None = None, only: str | None = None) -> instance.Instance:
    """Bring up an instance; what runs already stays as it is unless its configuration changed."""
    started = time.monotonic()
    i = instance.create(name, base)
    all_procs = topology.processes(i)
    want = _wanted(only, [p.name for p in all_procs])
    procs = [p for p in all_procs if p.name in want]
    parts = infra.setup_parts(want)
    if procs or "topics" in want or "provider" in want:
        parts = list(dict.fromkeys([*parts, *cmd_setup.GROUPS["build"]]))
    cmd_setup.setup(parts)
    with i.lock():
        if procs or "topics" in want or "provider" in want:
            processes.build(i, all_procs)
        supervise.ensure_daemon(i)
        s = Starter(i)
        _start_infra(s, i, want)
        if "topics" in want or procs:
            processes.apply_topics(i)
        if procs:
            _start_processes(s, i, procs)
    say(f"instance '{i.name}' is up on ports {i.base}… ({time.monotonic() - started:.0f} s)")
    return i


def command(argv: list[str]) -> None:
    ap = argparse.ArgumentParser(
        prog="up", description="Start the local stack: parts, topics, processes. Installs and "
        "builds what is missing. What runs already is left alone.")
    instance.add_name(ap)
    ap.add_argument("--base", help="first port (default: what the instance had, else $SENDMILL_BASE"
                    ", else 19000); 'auto' finds a free range")
    ap.add_argument("--only", metavar="PART,…",
                    help=f"start only these: {' '.join(infra.NAMES)} topics processes, or names of "
                    "processes")
    args = ap.parse_args(argv)
    i = up(args.name, args.base, args.only)
    option = "" if i.name == "default" else f" --name {i.name}"
    say(f'next: eval "$(deploy/local/env{option})"')


if __name__ == "__main__":
    main(command)
