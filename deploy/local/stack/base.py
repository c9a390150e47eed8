"""Where things lie, messages, and running other programs."""
import contextlib
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

LOCAL = Path(__file__).resolve().parent.parent
REPO = LOCAL.parent.parent
PINS = LOCAL / "pins"


def _xdg(name: str, default: str) -> Path:
    value = os.environ.get(name, "")
    return (Path(value) if value.startswith("/") else Path.home() / default) / "sendmill"


CACHE = _xdg("XDG_CACHE_HOME", ".cache")
STATE = _xdg("XDG_STATE_HOME", ".local/state")


class Fail(Exception):
    """Something the user must know; printed as one message, exit code 1 (or `code`)."""

    def __init__(self, message: str, code: int = 1):
        super().__init__(message)
        self.code = code


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main(function) -> None:
    """Run a command's main(argv) and turn Fail into a message."""
    try:
        sys.exit(function(sys.argv[1:]) or 0)
    except Fail as e:
        say(f"{Path(sys.argv[0]).stem.removeprefix('cmd_')}: {e}")
        sys.exit(e.code)
    except KeyboardInterrupt:
        sys.exit(130)


def tail(path: Path, lines: int = 25) -> str:
    try:
        with open(path, "rb") as f:
            f.seek(max(0, path.stat().st_size - 65536))
            text = f.read().decode("utf-8", "replace")
    except OSError as e:
        return f"(no log: {e})"
    return "\n".join("    " + line for line in text.splitlines()[-lines:])


@contextlib.contextmanager
def locked(path: Path):
    """Hold an exclusive lock, so that two runs never make the same part at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run ({path.stem})")
            fcntl.flock(f, fcntl.LOCK_EX)
        yield


def run(what: str, argv: list, *, cwd: Path | None = None, env: dict | None = None,
        log: Path | None = None, timeout_s: int = 1800) -> None:
    """Run a slow program: its output goes to a log, a sign of life every 15 s to stderr."""
    log = log or CACHE / "log" / (what.split(":")[0].replace(" ", "-") + ".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    say(what)
    with open(log, "ab") as out:
        p = subprocess.Popen([str(a) for a in argv], cwd=cwd, stdin=subprocess.DEVNULL, stdout=out,
                             stderr=out, env={**os.environ, **(env or {})})
        try:
            while True:
                try:
                    rc = p.wait(timeout=15)
                    break
                except subprocess.TimeoutExpired:
                    took = int(time.monotonic() - start)
                    if took > timeout_s:
                        raise Fail(f"{what}: no end after {took} s, see {log}") from None
                    say(f"  … {took} s")
        finally:
            if p.poll() is None:
                p.terminate()
                p.wait(10)
    if rc != 0:
        raise Fail(f"{what}: {argv[0]} exited {rc}; the end of {log}:\n{tail(log)}")


def output(argv: list, timeout_s: int = 60, **kw) -> str | None:
    """Stdout of a quick program, None when it failed or does not exist."""
    try:
        p = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, capture_output=True,
                           text=True, timeout=timeout_s, **kw)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return p.stdout if p.returncode == 0 else None


def sha256(path: Path) -> str:
    import hashlib
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def check_sha256(path: Path, want: str) -> None:
    got = sha256(path)
    if got != want:
        raise Fail(f"{path.name}: sha256 is {got}, pinned is {want}")


@contextlib.contextmanager
def fresh_dir(final: Path):
    """A temporary directory beside `final` that becomes it when the block ends well."""
    import shutil
    import tempfile
    final.parent.mkdir(parents=True, exist_ok=True)
    tmp = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
    tmp.chmod(0o755)
    try:
        yield tmp
        if final.exists():
            shutil.rmtree(final)
        tmp.rename(final)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
