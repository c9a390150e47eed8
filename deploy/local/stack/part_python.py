"""The Python environment in the cache: DuckDB, a Kafka client, Avro and S3 that share no code
with Sendmill. Named by the hash of what is pinned, so that a changed pin makes a new one."""
import hashlib
import sys
import tempfile
from pathlib import Path
from . import part_apt
from .base import CACHE, LOCAL, Fail, check_sha256, locked, run

REQUIREMENTS = LOCAL / "requirements.txt"
_ID = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
VENV = CACHE / "venv" / f"py{sys.version_info[0]}.{sys.version_info[1]}-{_ID}"
PYTHON = VENV / "bin/python"
_DONE = VENV / ".complete"  # a venv cannot be renamed into place: its scripts carry its path


def ready() -> bool:
    return _DONE.exists()


def _bare_venv() -> None:
    if not (VENV / "bin/pip").exists():
        part_apt.install(["python3-venv"], "the Python environment")
        run("python: environment", [sys.executable, "-m", "venv", "--clear", VENV])


def make() -> None:
    _bare_venv()
    run("python: DuckDB, Kafka, Avro, S3 clients",
        [PYTHON, "-m", "pip", "-q", "--disable-pip-version-check", "install", "--require-hashes",
         "--only-binary", ":all:", "-r", REQUIREMENTS])
    _DONE.touch()


# pip insists on a source package's metadata, for which the package's own build system would have to
# be fetched and run (a compiler, Python's headers). We want its files alone: this stands in for it.
_BACKEND = """
import pathlib
def prepare_metadata_for_build_wheel(where, config_settings=None):
    d = pathlib.Path(where) / "NAME-VERSION.dist-info"
    d.mkdir()
    (d / "METADATA").write_text("Metadata-Version: 2.1\\nName: NAME\\nVersion: VERSION\\n")
    return d.name
"""


def download(requirement: str, digest: str, into: Path, *, backend: str | None = None,
             options: list[str] | None = None) -> Path:
    """Fetch one pinned file of a package and return its path: a wheel, or with `backend` (the name
    of its build system's module; "" where it has none but setup.py) its source package."""
    name, version = requirement.split("==")
    with locked(CACHE / "lock" / "python"):
        _bare_venv()
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sendmill-pip-") as tmp:
        kind, env = ["--only-binary", ":all:"], {}
        if backend == "":
            kind = ["--no-binary", ":all:"]
        elif backend:
            text = _BACKEND.replace("NAME", name).replace("VERSION", version)
            (Path(tmp) / f"{backend}.py").write_text(text)
            kind, env = ["--no-binary", ":all:", "--no-build-isolation"], {"PYTHONPATH": tmp}
        run(f"{name}: {requirement}",
            [PYTHON, "-m", "pip", "-q", "--disable-pip-version-check", "download", "--no-deps",
             *kind, *(options or []), "-d", into, requirement], env=env)
    files = [p for p in into.iterdir() if p.name.lower().startswith((name, name.replace("-", "_")))]
    if len(files) != 1:
        raise Fail(f"{requirement}: expected one file, got {[p.name for p in files]}")
    check_sha256(files[0], digest)
    return files[0]
