"""deploy/local/status [--name N] [--json]: what runs, where, and whether it is ready."""
import argparse
import json
from . import infra, instance, processes, supervise, topology
from .base import Fail, main
from .instance import Instance


def rows(i: Instance) -> list[dict]:
    """One row a part that has been started once, infrastructure first."""
    states = supervise.states(i)
    procs = {p.name: p for p in topology.processes(i)}
    out = []
    for name in [*infra.NAMES, *procs]:
        s = states.get(name)
        if s is None:
            continue
        if name in procs:
            ports = [procs[name].status_port] + ([i.ports["ingest"]] if name == "ingest" else [])
            ready = bool(s["pid"]) and processes.is_ready(procs[name])
        else:
            ports = [i.ports[p] for p in infra.ports(name)]
            ready = bool(s["pid"]) and infra.is_ready(i, name)
        out.append({"part": name, "state": s["statename"].lower(), "ready": ready, "pid": s["pid"],
                    "up_s": s["now"] - s["start"] if s["pid"] else 0, "ports": ports,
                    "log": str(i.log(name))})
    return out


def command(argv: list[str]) -> int:
    ap = argparse.ArgumentParser(prog="status", description="Exit 0 when all that was started is "
                                 "ready, 1 when not.")
    instance.add_name(ap)
    ap.add_argument("--json", action="store_true")
    args = ap.parse_args(argv)
    i = instance.load(args.name)
    if not supervise.running(i):
        raise Fail(f"instance '{i.name}' does not run")
    table = rows(i)
    if args.json:
        print(json.dumps(table, indent=1))
    else:
        print(f"{'part':<12}{'state':<10}{'ready':<7}{'pid':>8}{'up':>8}  {'ports':<13}log")
        for r in table:
            print(f"{r['part']:<12}{r['state']:<10}{'yes' if r['ready'] else 'no':<7}"
                  f"{r['pid']:>8}{r['up_s']:>7}s  {' '.join(map(str, r['ports'])):<13}{r['log']}")
    return 0 if all(r["ready"] for r in table) else 1


if __name__ == "__main__":
    main(command)
