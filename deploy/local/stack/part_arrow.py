"""Arrow for the Parquet sink: the C++ libraries and headers of the pyarrow wheel, unpacked, and
the C sources of nanoarrow. Both pinned, both in the cache; CMake finds them by `setup --print-env`."""
import shutil
import tarfile
import zipfile
from . import part_python
from .base import CACHE, fresh_dir

PYARROW_VERSION = "26.0.1"
PYARROW_SHA256 = "39cb0f2418282c24bea6ceda77b03e5a8f0a5766b63a8bf194d4e2a2c423548c"
PYARROW = CACHE / "pyarrow" / PYARROW_VERSION
NANOARROW_VERSION = "0.9.0"
NANOARROW_SHA256 = "1ce15bbed8532839347faa78824c5dbd3769bff60661003e34c6fba5dd881bd3"
NANOARROW = CACHE / "nanoarrow" / NANOARROW_VERSION


def ready() -> bool:
    return (PYARROW / "pyarrow").is_dir() and (NANOARROW / "src").is_dir()


def make() -> None:
    if not (PYARROW / "pyarrow").is_dir():
        with fresh_dir(PYARROW) as root:
            wheel = part_python.download(
                f"pyarrow=={PYARROW_VERSION}", PYARROW_SHA256, root / "dl",
                options=["--python-version", "311", "--platform", "manylinux_2_28_x86_64"])
            with zipfile.ZipFile(wheel) as z:
                z.extractall(root)
            wheel.unlink()
            (root / "dl").rmdir()
    if not (NANOARROW / "src").is_dir():
        with fresh_dir(NANOARROW) as root:
            sdist = part_python.download(f"nanoarrow=={NANOARROW_VERSION}", NANOARROW_SHA256,
                                         root / "dl", backend="mesonpy")
            with tarfile.open(sdist) as tar:
                tar.extractall(root)  # pinned by sha256 above
            sdist.unlink()
            (root / "dl").rmdir()
            inner = root / f"nanoarrow-{NANOARROW_VERSION}" / "subprojects/arrow-nanoarrow"
            for p in list(inner.iterdir()):
                p.rename(root / p.name)
            shutil.rmtree(root / f"nanoarrow-{NANOARROW_VERSION}")
