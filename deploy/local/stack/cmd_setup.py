"""deploy/local/setup [--print-env] [PART…]: fetch and build what is missing, once."""
import argparse
import shlex
from . import (part_apt, part_arrow, part_java, part_librdkafka, part_prism, part_python, part_s3,
               part_spark)
from .base import CACHE, Fail, locked, main, say

# name: (is it there, make it, what it is)
PARTS = {
    "packages": (lambda: not part_apt.missing(part_apt.BUILD + part_apt.RUN),
                 lambda: part_apt.install(part_apt.BUILD + part_apt.RUN, "build and local stack"),
                 "Debian packages for the build and the local stack"),
    "librdkafka": (part_librdkafka.ready, part_librdkafka.make, "librdkafka >= 2.3"),
    "arrow": (part_arrow.ready, part_arrow.make, "Arrow/Parquet C++ and nanoarrow"),
    "python": (part_python.ready, part_python.make, "Python environment (DuckDB and clients)"),
    "broker": (part_java.broker_ready, part_java.make_broker, "Apache Kafka"),
    "registry": (part_java.registry_ready, part_java.make_registry, "schema registry"),
    "s3": (part_s3.ready, part_s3.make, "S3 server"),
    "dev": (lambda: not part_apt.missing(part_apt.DEV), part_apt.dev,
            "clang, formatter, coverage (only when asked for)"),
    "prism": (part_prism.ready, part_prism.make,
              "judge of provider calls, for tests/oracle (only when asked for)"),
    "spark": (part_spark.ready, part_spark.make,
              "PySpark with S3A, for deploy/athena (470 MB; only when asked for)"),
}
GROUPS = {"all": [p for p in PARTS if p not in ("dev", "prism", "spark")], "build": ["packages", "librdkafka", "arrow"]}


def setup(parts: list[str]) -> None:
    """Make each part unless it is there; safe to run several times at once."""
    for name in parts:
        there, make, _ = PARTS[name]
        if there():
            continue
        with locked(CACHE / "lock" / f"part-{name}"):
            if there():
                continue
            make()
            if not there():
                raise Fail(f"{name}: made, and still not there")
            say(f"{name}: ready")


def environment() -> dict[str, str]:
    """What a build or a test needs to find the parts."""
    env = {"SENDMILL_CACHE": str(CACHE), "SENDMILL_PYTHON": str(part_python.PYTHON),
           "SENDMILL_PYARROW": str(part_arrow.PYARROW / "pyarrow"),
           "SENDMILL_NANOARROW": str(part_arrow.NANOARROW)}
    if part_spark.ready():
        env |= {"SPARK_HOME": str(part_spark.HOME), "PYSPARK_PYTHON": str(part_spark.PYTHON)}
    pc = part_librdkafka.pkg_config_dir()
    if pc:
        env["PKG_CONFIG_PATH"] = str(pc)
    return env


def command(argv: list[str]) -> None:
    text = "\n".join(f"  {n:<11} {d}" for n, (_, _, d) in PARTS.items())
    ap = argparse.ArgumentParser(
        prog="setup", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Install what the build and the local stack need. Quiet when nothing is missing.",
        epilog=f"parts:\n{text}\n  build       packages librdkafka arrow\n"
               "  all         all but dev, prism and spark (the default)")
    ap.add_argument("--print-env", action="store_true",
                    help="print export lines that lead to the parts, install nothing")
    ap.add_argument("part", nargs="*", choices=[*PARTS, *GROUPS, []])
    args = ap.parse_args(argv)
    if args.print_env:
        for name, value in environment().items():
            print(f"export {name}={shlex.quote(value)}")
        return
    wanted: list[str] = []
    for p in args.part or ["all"]:
        wanted += [q for q in GROUPS.get(p, [p]) if q not in wanted]
    setup(wanted)


if __name__ == "__main__":
    main(command)
