"""The files of the tree as the checks see them."""
import os
import re
import subprocess
from functools import lru_cache
from pathlib import Path

ROOT = Path(os.environ.get("MILL_TREE", Path(__file__).resolve().parents[2]))
C_FILES = (".c", ".h", ".cc")
DATA = re.compile(r"tests/(fuzz/corpus|[^/]+/(data|golden|fixtures))/")


@lru_cache
def files() -> tuple[str, ...]:
    """All files that are, or would be, in git; relative to the root."""
    try:
        out = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             cwd=ROOT, capture_output=True, check=True).stdout.decode()
        names = [n for n in out.split("\0") if n and (ROOT / n).is_file()]
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive
        names = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*")
                 if p.is_file() and not str(p.relative_to(ROOT)).startswith((".git/", "build/"))]
    return tuple(sorted(names))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def c_files() -> list[str]:
    return [n for n in files() if n.endswith(C_FILES)]


@lru_cache
def code(name: str) -> str:
    """A C file without what comments and literals say; the lines stay where they are."""
    def blank(m: re.Match) -> str:
        text = m.group(0)
        inner = "\n" * text.count("\n")
        return f'"{inner}"' if text[0] == '"' else "' '" if text[0] == "'" else " " + inner
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', blank,
                  read(name), flags=re.S)
