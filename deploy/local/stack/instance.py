"""An instance of the stack: its name, ports, directories and secrets. One directory under the
user's state holds all of it."""
import argparse
import fcntl
import json
import os
import re
import secrets
import shutil
import socket
from pathlib import Path
from .base import REPO, STATE, Fail, locked

OFFSETS = {"ingest": 0, "smtp": 25, "s3": 70, "mailbox": 80, "registry": 81, "provider": 90,
           "broker": 92, "controller": 93, "secure": 94}
STATUS_OFFSET = 100
SPAN = 140  # ports of one instance, status ports included
BUCKET = "lake"


class Instance:
    def __init__(self, name: str, data: dict):
        self.name = name
        self.dir = STATE / name
        self.base: int = data["base"]
        # An instance of an older version has not all of today's ports.
        self.ports: dict[str, int] = {p: self.base + o for p, o in OFFSETS.items()} | data["ports"]
        self.build = Path(data["build"])
        self.topology = [Path(p) for p in data["topology"]]

    def save(self) -> None:
        write_private(self.dir / "instance.json", json.dumps({
            "base": self.base, "ports": self.ports, "build": str(self.build),
            "topology": [str(p) for p in self.topology]}, indent=1))

    def path(self, *parts: str) -> Path:
        return self.dir.joinpath(*parts)

    def log(self, part: str) -> Path:
        return self.path("log", part + ".log")

    def url(self, part: str) -> str:
        return f"http://127.0.0.1:{self.ports[part]}"

    @property
    def brokers(self) -> str:
        return f"127.0.0.1:{self.ports['broker']}"

    @property
    def registry(self) -> str:
        return self.url("registry") + "/apis/ccompat/v7"

    def secret(self, name: str) -> str:
        return self.path("secrets", name).read_text().strip()

    def lock(self):
        return locked(STATE / "lock" / self.name)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read; whole or not at all."""
    tmp = path.with_name(f".{path.name}.new")
    with open(os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write(text)
    tmp.rename(path)


def add_name(ap: argparse.ArgumentParser) -> None:
    ap.add_argument("--name", default=os.environ.get("SENDMILL_NAME", "default"),
                    type=instance_name,
                    help="which instance (default: $SENDMILL_NAME, else 'default')")


def instance_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", text) or text == "lock":
        raise argparse.ArgumentTypeError("a name is 1 to 32 of a-z 0-9 _ -, and not 'lock'")
    return text


def load(name: str) -> Instance:
    try:
        return Instance(name, json.loads((STATE / name / "instance.json").read_text()))
    except FileNotFoundError:
        raise Fail(f"no instance '{name}': start it with deploy/local/up") from None


def port_free(port: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_base() -> int:
    """A base that no instance has and whose ports nobody listens on; below the ephemeral ports."""
    taken = [json.loads(p.read_text())["base"] for p in STATE.glob("*/instance.json")]
    for base in range(20000, 32000, 200):
        if all(abs(base - t) >= SPAN for t in taken) and \
                all(port_free(base + o) for o in range(SPAN)):
            return base
    raise Fail("no free range of ports between 20000 and 32000")


def topology_paths() -> list[Path]:
    value = os.environ.get("SENDMILL_TOPOLOGY", "")
    return [Path(p).resolve() for p in value.split(":") if p] or [REPO / "deploy/topology.json"]


def build_dir() -> Path:
    return (REPO / os.environ.get("SENDMILL_BUILD", "build/release")).resolve()


def create(name: str, base: str | None) -> Instance:
    """Load the instance or make a new one. `base`: a number, 'auto', or None for what it has."""
    STATE.mkdir(parents=True, exist_ok=True)
    with open(STATE / "lock.ports", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        old = load(name) if (STATE / name / "instance.json").exists() else None
        if base is None and not old:
            base = os.environ.get("SENDMILL_BASE", "19000")
        if base in (None, "auto"):
            number = old.base if old else _free_base()
        else:
            number = int(base)
        if not 1024 <= number <= 65535 - SPAN:
            raise Fail(f"--base {number}: not between 1024 and {65535 - SPAN}", 2)
        ports = {p: int(os.environ.get(f"SENDMILL_PORT_{p.upper()}", number + o))
                 for p, o in OFFSETS.items()}
        i = Instance(name, {"base": number, "ports": ports, "build": str(build_dir()),
                            "topology": [str(p) for p in topology_paths()]})
        for d in ("", "log", "conf", "run", "data", "secrets"):
            i.path(d).mkdir(mode=0o700, exist_ok=True)
        i.save()
    make_secrets(i)
    return i


def make_secrets(i: Instance) -> None:
    """Random secrets of this instance, made once, mode 0600."""
    make = {"s3_access_key": lambda: "local" + secrets.token_hex(6),
            "s3_secret_key": lambda: secrets.token_urlsafe(30),
            "ingest_password": lambda: secrets.token_urlsafe(18),
            "ingest_api_key": lambda: "mill_" + secrets.token_hex(32),
            "sendgrid_key": lambda: "SG.local." + secrets.token_urlsafe(24),
            "mailgun_key": lambda: "key-local" + secrets.token_hex(16),
            "mailgun_signing_key": lambda: secrets.token_hex(16),
            "unsubscribe_key": lambda: secrets.token_urlsafe(32),
            "broker_password": lambda: secrets.token_hex(16),
            "cluster_id": lambda: secrets.token_urlsafe(16)}
    for name, value in make.items():
        path = i.path("secrets", name)
        if not path.exists():
            write_private(path, value() + "\n")


def remove(i: Instance) -> None:
    shutil.rmtree(i.dir, ignore_errors=True)
