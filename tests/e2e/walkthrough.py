#!/usr/bin/env python3
"""walkthrough.py BUILD_DIR: does what stages/README.md § A new stage says, to the letter, and then
what README.md says of publishing to a topic, reading the lake and seeing what failed.

Files and commands are taken out of these pages, so that page and test cannot drift apart. Two
things differ from a reader's afternoon: build/release is BUILD_DIR, and the home folder, the
instance and its ports are the test's own. Exits 0, 1, or 77 when the local stack's parts are not
installed."""
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PAGE = REPO / "stages/README.md"
LIMIT_S = 300  # of one block of commands
GOOD, BAD = "ada@example.org", "eve@blocked.example"


class Failed(Exception):
    pass


def check(true, what: str) -> None:
    if not true:
        raise Failed(what)


def chapter() -> str:
    text = PAGE.read_text()
    begin = text.index("\n## A new stage\n")
    end = text.find("\n## ", begin + 1)
    return text[begin:end if end > 0 else len(text)]


def files_of(text: str) -> dict[str, str]:
    """`name` on a line of its own, then the block that stands in that file."""
    return dict(re.findall(r"^`([\w.]+)`\n\n```\w+\n(.*?)^```$", text, re.S | re.M))


def commands_of(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", text, re.S | re.M)


def run(script: str, env: dict[str, str]) -> str:
    """One block in a shell; what it exports is kept for the next one, as in a reader's shell."""
    keep = Path(env["HOME"]) / "env"
    script = f"set -e\n[ ! -f '{keep}' ] || . '{keep}'\n{script}\nexport -p >'{keep}'\n"
    begun = time.monotonic()
    p = subprocess.run(["bash", "-c", script], cwd=REPO, env=env, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, text=True, timeout=LIMIT_S)
    print(f"{p.stdout}-- exit {p.returncode} after {time.monotonic() - begun:.1f} s", flush=True)
    check(p.returncode == 0, f"a command of the page failed:\n{script}")
    return p.stdout


def check_files(files: dict[str, str]) -> None:
    """The page promises a small thing; so it must stay."""
    check(sorted(files) == ["CMakeLists.txt", "screen.avsc", "screen.c", "topology.json"],
          f"files of the page: {sorted(files)}")
    check(files["screen.c"].count("\n") <= 120, "screen.c has over 120 lines")
    check(files["CMakeLists.txt"].count("\n") <= 6, "CMakeLists.txt has over 6 lines")


def check_package(prefix: Path) -> None:
    """Every installed header stands alone, and none needs a library's header but jansson's. A
    stage that uses the mail records links."""
    include = prefix / "include/sendmill"
    headers = sorted(include.rglob("*.h"))
    check(include / "mail/records.h" in headers, "mail/records.h is not installed")
    flags = subprocess.run(["pkg-config", "--cflags", "jansson"], capture_output=True, text=True,
                           check=True).stdout.split()
    for header in headers:
        bad = re.search(r"#include <(librdkafka|avro|curl|microhttpd)", header.read_text())
        check(not bad, f"{header}: {bad and bad.group(0)}")
        p = subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                            "-fsyntax-only", "-x", "c", "-I", include, *flags, "-include", header,
                            "/dev/null"], capture_output=True, text=True)
        check(p.returncode == 0, f"{header} does not stand alone: {p.stderr}")
    names = ["sendmill", *(f"mill-{n}" for n in ("ingest", "validate", "send", "unpack", "enrich",
                                                 "suppress", "deadletter", "delay"))]
    shim = prefix / "lib/sendmill/libmill_parquet.so"
    if (prefix / "bin/mill-sink-parquet").exists():
        names.append("mill-sink-parquet")
        ctypes.CDLL(str(shim))  # with the Arrow that lies beside it, or the system's
    for name in names:
        p = subprocess.run([prefix / "bin" / name, "--version"], capture_output=True)
        check(p.returncode == 0, f"installed {name} does not run: {p.stderr}")


PROBE_C = """#include "mail/records.h"
#include "stage.h"
static const struct mill_port in[] = {{"m", "mail.messages", &mill_message_desc}, {0}};
static enum mill_verdict on_record(struct mill_ctx *c, const struct mill_record *r,
                                   struct mill_err *e)
{
    const struct mill_message *m = r->value;
    (void)c, (void)e;
    return m && m->to.n ? MILL_DONE : MILL_REJECT;
}
MILL_STAGE(probe) = {.name = "probe", .summary = "probe", .in = in, .on_record = on_record};
"""
PROBE_CMAKE = """cmake_minimum_required(VERSION 3.25)
project(probe C)
find_package(Sendmill 0.1 REQUIRED COMPONENTS mail)
mill_add_stage(probe SOURCES probe.c LIBS Sendmill::mail)
"""


def check_mail_component(home: Path, prefix: Path, env: dict[str, str]) -> None:
    probe = home / "probe"
    probe.mkdir()
    (probe / "probe.c").write_text(PROBE_C)
    (probe / "CMakeLists.txt").write_text(PROBE_CMAKE)
    run(f"cmake -S '{probe}' -B '{probe}/b' -DCMAKE_PREFIX_PATH='{prefix}' >/dev/null\n"
        f"cmake --build '{probe}/b' >/dev/null\n"
        f"cmake --install '{probe}/b' --prefix '{probe}/p' >/dev/null\n"
        f"'{probe}/p/bin/mill-probe' --describe", env)


def check_outcome(said: str, env: dict[str, str]) -> list[str]:
    """What the last block printed, and what the parts say themselves."""
    ids = [json.loads(s)["message_ids"][0] for s in said.splitlines() if s.startswith('{"status"')]
    check(len(ids) == 2, f"two mails were accepted: {ids}")
    good, bad = ids
    lines = said.splitlines()
    check(any("mail.screened/" in s and good in s and GOOD in s for s in lines),
          f"{good} is on mail.screened")
    check(any("mail.events/" in s and good in s for s in lines), f"an event of {good}")
    check(any("screened" in s and "to[0].email" in s for s in lines), "the DLQ names the field")
    check(json.loads(lines[-1]) == {good: 1}, f"one call for {good}, none for {bad}: {lines[-1]}")
    parts = json.loads(run("deploy/local/status --json", env))
    port = next(p["ports"][0] for p in parts if p["part"] == "screen")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as r:
        metrics = r.read().decode()
    for way in ("passed", "blocked"):
        check(re.search(rf'^mill_screen_messages_total{{[^}}]*way="{way}"[^}}]*}} 1$', metrics, re.M),
              f"the stage counted one {way}")
    return ids


def blocks_of_readme(kind: str, heading: str) -> list[str]:
    text = (REPO / "README.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.S | re.M)


def check_readme(build: Path, home: Path, env: dict[str, str]) -> None:
    """With the Python of the cache, which has the packages that the page names. DuckDB's extension is
    installed from there too: `INSTALL httpfs` finds it and asks no server."""
    publish, frame = blocks_of_readme("python", "Publish to a topic instead of HTTP")
    (kcat,) = blocks_of_readme("sh", "Publish to a topic instead of HTTP")
    (lake,) = blocks_of_readme("python", "Read the lake")
    (sql,) = blocks_of_readme("sh", "Read the lake")
    (failed,) = blocks_of_readme("sh", "See what failed")
    for name, text in (("publish.py", publish), ("frame.py", frame), ("lake.py", lake)):
        (home / name).write_text(text)
    (home / "extension.py").write_text(
        "import duckdb, duckdb_extension_httpfs as x, pathlib\n"
        "at = pathlib.Path(x.__file__).parent / 'extensions' / f'v{duckdb.__version__}'\n"
        "duckdb.execute(f\"INSTALL '{at}/httpfs.duckdb_extension'\")\n")
    ready = 'eval "$(deploy/local/setup --print-env)"\npython3() { "$SENDMILL_PYTHON" "$@"; }\n'
    run(f"{ready}cd; python3 -W ignore publish.py", env)
    want = {"order-4711/0"}
    if shutil.which("kcat"):
        run(f"{ready}cd; {kcat}", env)
        want.add("order-4712/0")
    else:
        print("left out: kcat is not installed")
    calls: dict[str, int] = {}
    wait_for(lambda: calls.update(json.loads(run('curl -sS "$PROVIDER/calls"', env))) or
             want <= calls.keys(), f"a call for each of {want}")
    # Before the sink's first flush there is no file yet, and the command says so by its exit code.
    wait_for(lambda: "DELIVERED" in run(f"{sql.strip()} || true", env),
             "rows of mail.events in the lake")
    rows = run(f"{ready}cd; python3 extension.py; python3 lake.py", env)
    check("DELIVERED" in rows and "ada@example.org" in rows, "the lake's rows, as the page reads them")
    if shutil.which("kcat"):
        sendmill = f"{build}/bin/sendmill"
        first, rest = failed.replace("build/release/bin/sendmill", sendmill).split("\n", 1)
        run(first, env)
        run(f"{sendmill} tail mail.dlq --from start --count 2 >/dev/null", env)
        place = re.search(r"^ *(\d+/\d+) .* poison ", run(rest.split("\n")[0], env), re.M)
        check(place, "the DLQ lists what is no Avro")
        check("not avro" in run(f"{sendmill} dlq show {place[1]}", env), "and shows its bytes")


def wait_for(true, what: str, limit_s: int = 60) -> None:
    end = time.monotonic() + limit_s
    while not true():
        check(time.monotonic() < end, f"not within {limit_s} s: {what}")
        time.sleep(1)


def walk(build: Path, home: Path, env: dict[str, str]) -> None:
    text = chapter()
    files, commands = files_of(text), commands_of(text)
    check_files(files)
    check(len(commands) == 3, f"{len(commands)} blocks of commands, not 3")
    (home / "screen").mkdir()
    for name, content in files.items():
        (home / "screen" / name).write_text(content)
    tree = run("git status --porcelain 2>/dev/null || true", env)
    said = ""
    for n, block in enumerate(commands):
        print(block, flush=True)
        said = run(block.replace("build/release", str(build)), env)
        if n == 0:
            check_package(home / "sendmill")
            check_mail_component(home, home / "sendmill", env)
    good, bad = check_outcome(said, env)
    check_readme(build, home, env)
    run("unset SENDMILL_TOPOLOGY; deploy/local/up", env)  # the way back
    parts = json.loads(run("deploy/local/status --json", env))
    check("screen" not in [p["part"] for p in parts], "screen is gone")
    check(all(p["ready"] for p in parts), f"the rest is ready: {parts}")
    calls: dict[str, int] = {}
    wait_for(lambda: calls.update(json.loads(run('curl -sS "$PROVIDER/calls"', env))) or
             bad in calls, "what was held back is sent now")
    check(set(calls.values()) == {1} and good in calls, f"nothing is sent twice: {calls}")
    check(run("git status --porcelain 2>/dev/null || true", env) == tree, "no file has changed")


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    build = Path(sys.argv[1]).resolve()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    if not (cache / "sendmill/kafka").is_dir():
        print("skipped: no broker in the cache, run deploy/local/setup")
        return 77
    name = f"walk-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="walkthrough-") as home:
        env = {**os.environ, "HOME": home, "XDG_CACHE_HOME": str(cache),
               "XDG_STATE_HOME": str(state), "SENDMILL_NAME": name, "SENDMILL_BASE": "auto",
               "SENDMILL_BUILD": str(build),
               # The page's code is held to what ours is held to.
               "CFLAGS": "-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wformat=2 "
                         "-Wstrict-prototypes -Wmissing-prototypes -Werror"}
        env.pop("SENDMILL_TOPOLOGY", None)
        down = ["deploy/local/down", "--name", name]
        try:
            walk(build, Path(home), env)
            down.append("--wipe")
            print("walkthrough: all as the page says")
            return 0
        except (Failed, subprocess.TimeoutExpired) as e:
            print(f"FAILED: {e}\n(the logs stay in {state}/sendmill/{name}/log)")
            return 1
        finally:
            if (state / "sendmill" / name / "instance.json").exists():
                subprocess.run(down, cwd=REPO, env=env, stdin=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    sys.exit(main())
