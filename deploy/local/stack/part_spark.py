"""PySpark with S3A, and a Python environment that has all that deploy/athena and its tests import.

PySpark's archive is unpacked as it would be installed (a .pth leads to it: it serves any environment), and
the jars of S3A are laid beside Spark's own, so that `bin/spark-submit` reads s3a:// without --packages. The jars are Hadoop's and the AWS SDK's modules
that it calls; what Spark has of them already (netty, httpclient) is left out."""
import hashlib
import shutil
import sys
import tarfile
from . import part_apt, part_java, part_python
from .base import CACHE, PINS, fresh_dir, run

VERSION = "4.1.4"
SHA256 = "bcbd5e18690cf79d438e97210ad06fb8d451a251bb77becc2b0418868d2acd73"
_PINS = PINS / "spark"
_ID = hashlib.sha256(b"".join([*(p.read_bytes() for p in sorted(_PINS.iterdir())), sys.version.encode(),
                               part_python.REQUIREMENTS.read_bytes()])).hexdigest()[:12]
ROOT = CACHE / "spark" / f"{VERSION}-{_ID}"
HOME = ROOT / "lib/pyspark"  # SPARK_HOME
VENV = CACHE / "spark" / f"venv-{VERSION}-{_ID}"
PYTHON = VENV / "bin/python"
_DONE = VENV / ".complete"

SPARKS_OWN = "io.netty,org.slf4j,commons-logging,org.apache.httpcomponents,commons-codec"


def ready() -> bool:
    return (HOME / "jars").is_dir() and _DONE.exists() and part_apt.java_ok()


def _spark() -> None:
    with fresh_dir(ROOT) as root:
        archive = part_python.download(f"pyspark=={VERSION}", SHA256, root / "dl", backend="")
        with tarfile.open(archive) as tar:
            tar.extractall(root)  # pinned by sha256 above
        shutil.rmtree(root / "dl")
        inner = root / f"pyspark-{VERSION}"
        (root / "lib").mkdir()
        (inner / "pyspark").rename(root / "lib/pyspark")
        for part in ("bin", "jars", "sbin"):
            (inner / "deps" / part).rename(root / "lib/pyspark" / part)
        shutil.rmtree(inner)
        part_java.copy_jars("spark: Hadoop's S3A and the AWS SDK (14 MB)", _PINS / "pom.xml", _PINS / "jars.sha256",
                            root / "s3a", f"-DexcludeGroupIds={SPARKS_OWN}")
        for jar in (root / "s3a").iterdir():
            jar.rename(root / "lib/pyspark/jars" / jar.name)


def _python() -> None:
    run("spark: Python environment", [sys.executable, "-m", "venv", "--clear", VENV])
    run("spark: Python packages",
        [PYTHON, "-m", "pip", "-q", "--disable-pip-version-check", "install", "--require-hashes",
         "--only-binary", ":all:", "-r", part_python.REQUIREMENTS, "-r", _PINS / "requirements.txt"])
    packages = next(VENV.glob("lib/python*/site-packages"))
    (packages / "pyspark.pth").write_text(f"{HOME.parent}\n")
    _DONE.touch()


def make() -> None:
    part_apt.java()
    part_apt.maven()
    if not (HOME / "jars").is_dir():
        _spark()
    if not _DONE.exists():
        part_apt.install(["python3-venv"], "PySpark's environment")
        _python()
