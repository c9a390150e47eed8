"""Sizes: lines of files and functions, decisions of functions."""
import re

from tree import c_files, code, files, read

FILE_LINES, FUNCTION_LINES, DECISIONS = 600, 60, 15
DECISION = re.compile(r"\b(if|for|while|switch)\b|\?")  # a switch is one: a table in other clothes
START = re.compile(r"^[A-Za-z_].*\)\s*$|^ .*\)\s*$")


def functions(name: str):
    """(line, name, body lines) of each function: formatted code opens and ends it in column 0."""
    lines = code(name).split("\n")
    start = None
    for i, line in enumerate(lines):
        if line == "{" and i and START.match(lines[i - 1]):
            start = i
        elif line == "}" and start is not None:
            head = start - 1
            while head and lines[head].startswith((" ", "\t")):
                head -= 1
            m = re.search(r"(\w+)\s*\(", lines[head])
            yield head + 1, m.group(1) if m else "?", lines[start:i + 1]
            start = None


def check() -> list[str]:
    faults = []
    for name in files():
        if name.endswith((".c", ".h", ".cc", ".py")):
            n = read(name).count("\n")
            if n > FILE_LINES:
                faults.append(f"{name}: {n} lines, more than {FILE_LINES}")
    for name in c_files():
        if not name.endswith(".c"):
            continue
        for line, function, body in functions(name):
            n, decisions = len(body), 1 + len(DECISION.findall("\n".join(body)))
            if n - 2 > FUNCTION_LINES:
                faults.append(f"{name}:{line}: {function} has {n - 2} lines, more than "
                              f"{FUNCTION_LINES}")
            if decisions > DECISIONS:
                faults.append(f"{name}:{line}: {function} decides {decisions} times, more than "
                              f"{DECISIONS}")
    return faults
