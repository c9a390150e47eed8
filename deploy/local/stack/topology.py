"""Reads the topology files (deploy/README.md says what stands in them)."""
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from .base import Fail
from .instance import STATUS_OFFSET, Instance


@dataclass
class Process:
    name: str
    program: str = ""
    kind: str = "stage"
    place: Path = Path()  # folder of the file that named the program
    ports_in: dict[str, str] = field(default_factory=dict)
    ports_out: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    status_port: int = 0

    def binary(self, build: Path) -> Path:
        if "/" in self.program:
            return (self.place / self.program).resolve()
        return build / "bin" / self.program


def _add(known: dict[str, Process], entry: dict, source: Path) -> None:
    unknown = set(entry) - {"name", "program", "kind", "in", "out", "options"}
    if unknown or not isinstance(entry.get("name"), str):
        raise Fail(f"{source}: a process has unknown fields or no name: {entry}", 78)
    p = known.setdefault(entry["name"], Process(entry["name"]))
    if "program" in entry:
        p.program, p.place = entry["program"], source.parent
    p.kind = entry.get("kind", p.kind)
    p.ports_in.update(entry.get("in", {}))
    p.ports_out.update(entry.get("out", {}))
    p.options.update(entry.get("options", {}))


def processes(i: Instance) -> list[Process]:
    """All processes in order, with their status ports."""
    known: dict[str, Process] = {}
    for path in i.topology:
        try:
            entries = json.loads(path.read_text()).get("processes", [])
        except (OSError, ValueError) as e:
            raise Fail(f"topology {path}: {e}", 78) from e
        for entry in entries:
            _add(known, entry, path)
    for n, p in enumerate(known.values()):
        if not p.program:
            raise Fail(f"topology: process '{p.name}' has no program", 78)
        default = i.base + STATUS_OFFSET + n
        p.status_port = int(os.environ.get(f"SENDMILL_PORT_STATUS_{p.name.upper()}", default))
    return list(known.values())
