"""tests/run cov [LABEL…]: line and branch coverage per folder, from a build with gcc's --coverage.

Runs the labels named (default: all that have tests) on build/cov and reads what gcov counted. Exits
1 when the lines of ingest/, stages/ and connect/ together are covered below 85 %.
"""
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "cov"
LABELS = ["unit", "stage", "broker", "fuzz", "e2e", "oracle"]
COUNTED = ("ingest", "stages", "connect")
FLOOR = 85.0
TOGETHER = "ingest + stages + connect"


def run(*command: str, **kw) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=ROOT, **kw)


def tested(label: str) -> bool:
    out = run("ctest", "--test-dir", str(BUILD), "-N", "-L", f"^{label}$", capture_output=True,
              text=True).stdout
    return "Total Tests: 0" not in out


def gcovr() -> list[dict]:
    out = run("gcovr", "--root", str(ROOT), "--object-directory", str(BUILD), "--json", "--exclude",
              "tests/.*", "--exclude", "build/.*", "--exclude-unreachable-branches",
              "--exclude-throw-branches", "--gcov-ignore-parse-errors", str(BUILD), capture_output=True, text=True)
    if out.returncode:
        sys.exit(f"gcovr: {out.stderr.strip()}")
    return json.loads(out.stdout)["files"]


def table() -> bool:
    """Print what gcov counted, per folder. True when enough is covered."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for file in gcovr():
        folder = str(Path(file["file"]).parent)
        lines = [line for line in file["lines"] if not line.get("gcovr/noncode")]
        branches = [b for line in lines for b in line["branches"]]
        counts = [sum(line["count"] > 0 for line in lines), len(lines),
                  sum(b["count"] > 0 for b in branches), len(branches)]
        for key in [folder, "all"] + [TOGETHER] * (folder.split("/")[0] in COUNTED):
            sums[key] = [a + b for a, b in zip(sums[key], counts)]
    print(f"\n{'folder':<28}{'lines':>16}{'%':>8}{'branches':>16}{'%':>8}")
    for key in sorted(sums, key=lambda k: (k in (TOGETHER, "all"), k)):
        a, b, c, d = sums[key]
        print(f"{key:<28}{f'{a}/{b}':>16}{100 * a / max(b, 1):>8.1f}"
              f"{f'{c}/{d}':>16}{100 * c / max(d, 1):>8.1f}")
    a, b = sums[TOGETHER][:2]
    if 100 * a < FLOOR * b:
        print(f"below {FLOOR} % of lines")
    return 100 * a >= FLOOR * b


def main() -> int:
    labels = sys.argv[1:] or LABELS
    jobs = os.environ.get("MILL_JOBS", str(os.cpu_count()))
    for command in (["cmake", "--preset", "cov"], ["cmake", "--build", str(BUILD), "-j", jobs]):
        made = run(*command, capture_output=True, text=True)
        if made.returncode:
            sys.exit(f"{' '.join(command)}: failed\n{made.stdout[-4000:]}{made.stderr[-4000:]}")
    for old in BUILD.rglob("*.gcda"):
        old.unlink()
    env = dict(os.environ, SENDMILL_BUILD=str(BUILD))
    failed = [label for label in labels if tested(label) and
              run("ctest", "--test-dir", str(BUILD), "-L", f"^{label}$", "--output-on-failure",
                  env=env).returncode]
    if failed:
        print(f"failed: {' '.join(failed)}")
    return 0 if table() and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
