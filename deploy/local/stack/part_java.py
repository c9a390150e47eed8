"""The broker (Apache Kafka) and the schema registry (Apicurio) from Maven Central."""
import re
import tarfile
from pathlib import Path
from . import part_apt
from .base import CACHE, PINS, Fail, check_sha256, fresh_dir, run

POM = PINS / "broker.pom.xml"
KAFKA = re.search(r"kafka_2\.13</artifactId>\s*<version>([^<]+)", POM.read_text()).group(1)
BROKER = CACHE / "kafka" / KAFKA

REGISTRY_VERSION = "3.0.9"  # newer ones want Java 21
REGISTRY_SHA256 = "2b28181501a20cbf6efcd77f9b7153908fc01f3d3a7c32024c0bd9e1b04c8a43"
REGISTRY = CACHE / "apicurio-registry" / REGISTRY_VERSION
REGISTRY_JAR = REGISTRY / f"apicurio-registry-app-{REGISTRY_VERSION}-runner.jar"

PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin"
MAVEN = ["mvn", "-q", "-B", "-Dstyle.color=never"]


def check_jars(folder: Path, pins: Path) -> None:
    """Exactly the pinned files, or Fail."""
    pinned = dict(reversed(line.split()) for line in pins.read_text().splitlines())
    found = {p.name for p in folder.iterdir()}
    if found != set(pinned):
        raise Fail(f"jars differ from {pins}: {sorted(found ^ set(pinned))}")
    for name, digest in pinned.items():
        check_sha256(folder / name, digest)


def copy_jars(what: str, pom: Path, pins: Path, jars: Path, *more: str) -> None:
    """What a POM needs at run time, by Maven into the new folder `jars`; exactly the pinned files."""
    run(what, [*MAVEN, "-f", pom, f"{PLUGIN}:3.8.1:copy-dependencies", "-DincludeScope=runtime",
               f"-DoutputDirectory={jars}", *more], cwd=jars.parent)
    check_jars(jars, pins)


def broker_ready() -> bool:
    return (BROKER / "jars").is_dir() and part_apt.java_ok()


def make_broker() -> None:
    part_apt.java()
    if (BROKER / "jars").is_dir():
        return
    part_apt.maven()
    with fresh_dir(BROKER) as root:
        copy_jars(f"broker: Apache Kafka {KAFKA} (44 MB)", POM, PINS / "broker.sha256", root / "jars")


def registry_ready() -> bool:
    return REGISTRY_JAR.exists() and part_apt.java_ok()


def make_registry() -> None:
    part_apt.java()
    if REGISTRY_JAR.exists():
        return
    part_apt.maven()
    with fresh_dir(REGISTRY) as root:
        # Plugin 2.10: it fetches the artifact alone. Later ones read its parent's POM first, which
        # was never published.
        run(f"registry: Apicurio Registry {REGISTRY_VERSION} (142 MB)",
            [*MAVEN, f"{PLUGIN}:2.10:copy", f"-DoutputDirectory={root}", "-Dartifact="
             f"io.apicurio:apicurio-registry-app:{REGISTRY_VERSION}:tar.gz:all"], cwd=root)
        archive = root / f"apicurio-registry-app-{REGISTRY_VERSION}-all.tar.gz"
        check_sha256(archive, REGISTRY_SHA256)
        with tarfile.open(archive) as tar:
            tar.extractall(root)  # pinned by sha256 above
        archive.unlink()
