"""check.py NAME…: rules of CONTRIBUTING.md that a machine can read. No name = all; -l lists them."""
import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import functions
import includes
from tree import DATA, ROOT, c_files, code, files, read

TOP = {"CMakeLists.txt", "ingest", "stages", "schemas", "connect", "deploy", "tests", "README.md",
       "LICENSE", "CONTRIBUTING.md", "CMakePresets.json"}
BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|gmtime|localtime|"
                    r"strerror|alloca|rd_kafka_query_watermark_offsets)\s*\(|__attribute__\s*\(\(\s*(?:__)?cleanup")
# Spelt so that this file does not contain what it looks for.
PLACES = re.compile(r"(?<![\w.])/(?:wor[k]|roo[t]|hom[e]|tm[p]/[a-z][\w-]*)/")
MARKS = re.compile(r"\b(?:FIXM[E]|XX[X])\b|\bTOD[O]\b(?!\(#\d+\))|not (?:yet )?implemente[d]")


def lines_of(name: str, pattern: re.Pattern, text: str, what: str) -> list[str]:
    return [f"{name}:{text.count(chr(10), 0, m.start()) + 1}: {what}: {m.group(0)}"
            for m in pattern.finditer(text)]


def banned() -> list[str]:
    return [f for n in c_files() for f in lines_of(n, BANNED, code(n), "banned call")]


def toplevel() -> list[str]:
    faults = [f"{n}: not on the agreed top level" for n in {f.split("/")[0] for f in files()}
              if n not in TOP and not n.startswith(".")]
    return faults + [f"{n}: missing" for n in TOP if not (ROOT / n).exists()]


def languages() -> list[str]:
    faults = []
    for n in files():
        script = n.endswith((".py", ".sh", ".bash"))
        if script and not n.startswith(("deploy/", "tests/", ".ci/")):
            faults.append(f"{n}: scripts live under deploy/ and tests/")
        if n.endswith((".cc", ".cpp", ".hpp")) and not n.startswith("connect/"):
            faults.append(f"{n}: C++ is the Parquet shim's alone")
    return faults


def text() -> list[str]:
    faults = []
    for n in files():
        data = (ROOT / n).read_bytes()
        if DATA.match(n) or b"\0" in data or not data:
            continue
        try:
            t = data.decode()
        except UnicodeDecodeError:
            faults.append(f"{n}: no UTF-8")
            continue
        if not t.endswith("\n") or t.endswith("\n\n"):
            faults.append(f"{n}: must end in one newline")
        if "\r" in t:
            faults.append(f"{n}: carriage returns")
        if not n.endswith((".md", ".patch")):
            faults += lines_of(n, re.compile(r"[ \t]+$", re.M), t, "white space at the end")
        faults += lines_of(n, PLACES, t, "path of one machine") + lines_of(n, MARKS, t, "unfinished")
    return faults


def formatted() -> list[str]:
    out = subprocess.run(["clang-format-14", "--dry-run", "-Werror", *c_files()], cwd=ROOT,
                         capture_output=True, text=True)
    seen = re.findall(r"^(\S+?:\d+):\d+: error: code should be clang-formatted", out.stderr, re.M)
    first: dict[str, str] = {}
    for place in seen:
        first.setdefault(place.split(":")[0], place)
    return [f"{p}: clang-format-14 -i would change it" for p in first.values()] or (
        [out.stderr.strip()] if out.returncode else [])


def readmes() -> list[str]:
    faults = []
    source = (".c", ".h", ".cc", ".py", ".sh", ".avsc", "CMakeLists.txt", ".cmake")
    for folder in sorted({str(Path(n).parent) for n in files()
                          if n.endswith(source) and not DATA.match(n)} - {"."}):
        page, above = ROOT / folder / "README.md", ROOT / Path(folder).parent / "README.md"
        if not page.exists():
            if not above.exists() or f"{Path(folder).name}/" not in above.read_text():
                faults.append(f"{folder}: no README.md, and the one above does not name it")
    for n in files():
        text = re.sub(r"^```.*?^```$", "", read(n), flags=re.S | re.M) if n.endswith("README.md") else ""
        if n != "README.md" and len([s for s in text.splitlines() if s.strip()]) > 90:
            faults.append(f"{n}: longer than one screen (90 lines beside its examples)")
    return faults


def schema_faults(name: str, node, seen: list[str]) -> None:
    if isinstance(node, list):
        for part in node:
            schema_faults(name, part, seen)
        return
    if not isinstance(node, dict):
        return
    if node.get("type") == "enum" and node.get("default") not in node["symbols"][:1]:
        seen.append(f"{name}: enum {node['name']} needs its first symbol as default")
    for field in node.get("fields", []):
        if not field.get("doc"):
            seen.append(f"{name}: {node['name']}.{field['name']} has no doc")
        schema_faults(name, field["type"], seen)
    for key in ("items", "values"):
        schema_faults(name, node.get(key), seen)


def schemas() -> list[str]:
    faults: list[str] = []
    names = [n for n in files() if n.startswith("schemas/") and n.endswith(".avsc")]
    for n in names:
        try:
            schema = json.loads(read(n))
        except ValueError as e:
            faults.append(f"{n}: {e}")
            continue
        if schema.get("type") != "record" or schema.get("namespace") != "sendmill":
            faults.append(f"{n}: must be a record of the namespace sendmill")
        schema_faults(n, schema, faults)
    return faults if names else ["schemas/: no schema"]


def scripts() -> list[str]:
    faults = []
    for n in files():
        if DATA.match(n):
            continue
        first = read(n).split("\n", 1)[0] if not n.endswith((".py", ".sh")) and \
            (ROOT / n).stat().st_mode & 0o100 else ""
        if n.endswith(".py") or "python" in first:
            try:
                ast.parse(read(n), n)
            except SyntaxError as e:
                faults.append(f"{n}:{e.lineno}: {e.msg}")
        elif n.endswith(".sh") or "bash" in first:
            out = subprocess.run(["bash", "-n", n], cwd=ROOT, capture_output=True, text=True)
            faults += out.stderr.strip().splitlines()
    return faults


def registered() -> list[str]:
    """A test that no CMakeLists.txt names never runs, and nobody would notice."""
    faults = []
    for n in files():
        m = re.match(r"tests/([^/]+)/(?:test|fuzz)_(\w+)\.c$", n)
        if m and not re.search(rf"\b(?:test_)?{m.group(2)}(?:\.c)?\b",
                               read(f"tests/{m.group(1)}/CMakeLists.txt")):
            faults.append(f"{n}: not in tests/{m.group(1)}/CMakeLists.txt")
        if m and m.group(1) == "fuzz" and not any(
                f.startswith(f"tests/fuzz/corpus/{m.group(2)}/") for f in files()):
            faults.append(f"{n}: no seeds in tests/fuzz/corpus/{m.group(2)}")
    return faults


CHECKS = {"includes": includes.check, "banned": banned, "size": functions.check,
          "format": formatted, "toplevel": toplevel, "languages": languages, "text": text,
          "readmes": readmes, "schemas": schemas, "scripts": scripts, "registered": registered}


def main() -> int:
    if sys.argv[1:] == ["-l"]:
        print("\n".join(CHECKS))
        return 0
    bad = 0
    for name in sys.argv[1:] or CHECKS:
        faults = CHECKS[name]()
        print(f"{name}: {len(faults) or 'no'} fault{'' if len(faults) == 1 else 's'}")
        for fault in faults:
            print(f"  {fault}")
        bad += len(faults)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
