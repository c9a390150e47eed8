"""tests/run cov [LABEL…]: line and branch coverage per folder, from a build with gcc's --coverage.

Runs the labels named (default: all that have tests) on build/cov and reads what gcov counted. Exits
1 when the lines of ingest/, stages/ or connect/ are covered below 85 %. The table is Markdown, for
tests/COVERAGE.md.
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


def run(*command: str, **kw) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=ROOT, **kw)


def tested(label: str) -> bool:
    out = run("ctest", "--test-dir", str(BUILD), "-N", "-L", f"^{label}$", capture_output=True,
              text=True).stdout
    return "Total Tests: 0" not in out


def gcovr() -> list[dict]:
    out = run("gcovr", "--root", str(ROOT), "--object-directory", str(BUILD), "--json", "--exclude",
              "tests/.*", "--exclude", "build/.*", "--exclude-unreachable-branches",
              "--exclude-throw-branches", "--gcov-ignore-parse-errors", str(BUILD),
              capture_output=True, text=True)
    if out.returncode:
        sys.exit(f"gcovr: {out.stderr.strip()}")
    return json.loads(out.stdout)["files"]


def table() -> bool:
    """Print what gcov counted, per folder and of each top folder. True when enough is covered."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for file in gcovr():
        folder = Path(file["file"]).parent
        lines = [line for line in file["lines"] if not line.get("gcovr/noncode")]
        branches = [b for line in lines for b in line["branches"]]
        counts = [sum(line["count"] > 0 for line in lines), len(lines),
                  sum(b["count"] > 0 for b in branches), len(branches)]
        for key in (f"{folder}/", folder.parts[0]):
            sums[key] = [a + b for a, b in zip(sums[key], counts)]
    print(f"\n| {'folder':<26} | {'lines':>12} | {'%':>5} | {'branches':>12} | {'%':>5} |")
    print(f"|{'-' * 28}|{'-' * 13}:|{'-' * 6}:|{'-' * 13}:|{'-' * 6}:|")
    for key in sorted(sums):
        a, b, c, d = sums[key]
        name = key if key.endswith("/") else f"**{key}, all**"
        print(f"| {name:<26} | {f'{a}/{b}':>12} | {100 * a / max(b, 1):5.1f} "
              f"| {f'{c}/{d}':>12} | {100 * c / max(d, 1):5.1f} |")
    low = [key for key in COUNTED if 100 * sums[key][0] < FLOOR * sums[key][1]]
    if low:
        print(f"below {FLOOR} % of lines: {' '.join(low)}")
    return not low


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
