"""Each check finds the fault that it is for: a small tree with one of each, and what must be said."""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

FAULTS = {
    "stages/runtime/base/up.c": ('#include "net/x.h"\n', "includes", "base must not use"),
    "stages/runtime/net/x.h": ("#include <avro.h>\n", "includes", "avro may include avro.h"),
    "stages/mail/k.h": ("#include <librdkafka/rdkafka.h>\n", "includes", "may include librdkafka"),
    "connect/m.c": ('#include "mail/k.h"\n', "includes", "connect must not use stages/mail/k.h"),
    "connect/lake/l.c": ('#include "compact/c.h"\n', "includes",
                         "connect/lake must not use connect/compact/c.h"),
    "stages/runtime/avro/open.h": ("#include <avro.h>\n", "includes", "only a private header"),
    "stages/a.c": ("void f(void)\n{\n    strcpy(a, b);\n}\n", "banned", "a.c:3: banned call: strcpy"),
    "tests/unit/b.c": ("void g(void)\n{\n    strcat(a, b);\n}\n", "banned",
                       "b.c:3: banned call: strcat"),
    "stages/long.c": ("int a;\n" * 601, "size", "long.c: 601 lines"),
    "stages/f.c": ("int f(int a)\n{\n" + "    a++;\n" * 61 + "}\n", "size", "f has 61 lines"),
    "stages/d.c": ("int d(int a)\n{\n" + "    if (a)\n        a--;\n" * 15 + "}\n", "size",
                   "d decides 16 times"),
    "stages/style.c": ("int  a;\n", "format", "style.c:1"),
    "other/x": ("x\n", "toplevel", "other: not on the agreed"),
    "stages/s.py": ("x = 1\n", "languages", "scripts live under"),
    "stages/p.cc": ("int a;\n", "languages", "C++ is"),
    "deploy/end": ("no newline", "text", "deploy/end: must end"),
    "deploy/blank": ("a \nb\n", "text", "deploy/blank:1: white space"),
    "deploy/path": ("see /ho" + "me/me/x\n", "text", "deploy/path:1: path of one machine"),
    "deploy/mark": ("TO" + "DO: later\n", "text", "deploy/mark:1: unfinished"),
    "ingest/i.c": ("int a;\n", "readmes", "ingest: no README.md"),
    "schemas/r.avsc": ('{"type":"record","name":"R","namespace":"sendmill","fields":[{"name":"a",'
                       '"type":{"type":"enum","name":"E","symbols":["X"]}}]}\n', "schemas",
                       "R.a has no doc"),
    "schemas/bad.avsc": ("{\n", "schemas", "bad.avsc:"),
    "deploy/bad.py": ("def x(:\n", "scripts", "bad.py:1"),
    "deploy/bad.sh": ("if\n", "scripts", "bad.sh"),
    "tests/unit/test_lost.c": ("int a;\n", "registered", "test_lost.c: not in"),
}
FINE = {
    "stages/ok.c": '/* strcpy( */\nstatic const char *ok = "sprintf(";\n',
    "tests/unit/CMakeLists.txt": "mill_add_test(unit kept SOURCES test_kept.c)\n",
    "tests/unit/test_kept.c": "int a;\n",
    "tests/README.md": "unit/\n",
    "connect/compact/c.h": '#include "lake/l.h"\n',
    "connect/lake/l.h": "int l;\n",
    "deploy/kept": "a\nTO" + "DO(#7): with its issue\n",
}


def main() -> int:
    here = Path(__file__).parent
    missed = []
    with tempfile.TemporaryDirectory() as tree:
        for name, text in {**{n: f[0] for n, f in FAULTS.items()}, **FINE}.items():
            path = Path(tree, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        env = dict(os.environ, MILL_TREE=tree)
        said = {check: subprocess.run([sys.executable, "-B", here / "check.py", check], env=env,
                                      capture_output=True, text=True).stdout
                for check in {f[1] for f in FAULTS.values()}}
    for name, (_, check, want) in FAULTS.items():
        if want not in said[check]:
            missed.append(f"{check} does not say \"{want}\" of {name}:\n{said[check]}")
    for name in FINE:
        missed += [f"{check} blames {name}:\n{text}" for check, text in said.items()
                   if f"\n  {name}:" in text]
    print("\n".join(missed) or f"{len(FAULTS)} faults found, {len(FINE)} files left alone")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
