"""An instance of deploy/local for a benchmark, and how a process is watched from outside."""
import contextlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

LOCAL = Path(__file__).resolve().parents[2] / "deploy/local"
TICKS = os.sysconf("SC_CLK_TCK")


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def instance(name: str, parts: str | None, keep: bool, extra: dict[str, str]):
    """Brings up parts (None: all) and gives what deploy/local/env says, as a dict."""
    env = {**os.environ, **extra}
    up = [LOCAL / "up", "--name", name, "--base", "auto", *(["--only", parts] if parts else [])]
    try:
        subprocess.run(up, env=env, check=True, stdout=sys.stderr)
        text = subprocess.run([LOCAL / "env", "--name", name], env=env, check=True,
                              capture_output=True, text=True).stdout
        yield dict(word.split("=", 1) for word in shlex.split(text) if "=" in word)
    finally:
        if not keep:
            subprocess.run([LOCAL / "down", "--name", name, "--wipe"], env=env, check=False,
                           stdout=sys.stderr)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def report(bench: str, value: float, unit: str, baseline: float | None, ratio: float | None,
           cpu: float, rss: float, **more) -> None:
    print(json.dumps({"bench": bench, "value": round(value, 1), "unit": unit,
                      "baseline": None if baseline is None else round(baseline, 1),
                      "ratio": None if ratio is None else round(ratio, 3),
                      "cpu_s": round(cpu, 2), "rss_mb": round(rss, 1), **more}), flush=True)
