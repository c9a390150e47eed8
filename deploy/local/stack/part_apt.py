"""Debian packages. Installs what is missing, as root or by sudo."""
import os
import re
import shutil
import subprocess
from .base import Fail, output, run, say

BUILD = """build-essential cmake ninja-build pkg-config git ca-certificates libavro-dev
    libcurl4-openssl-dev libmicrohttpd-dev libjansson-dev libcmocka-dev liblmdb-dev libidn2-dev
    libunistring-dev libgmime-3.0-dev libssl-dev libcrypt-dev libzstd-dev liblz4-dev libsasl2-dev
    libjemalloc-dev zlib1g-dev""".split()
RUN = "supervisor python3-venv curl openssl kcat".split()
DEV = """clang-14 libclang-rt-14-dev clang-format-14 llvm-14 gcovr jq""".split()


def missing(packages: list[str]) -> list[str]:
    text = output(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n", *packages])
    if text is None:  # exit 1 when one is unknown: ask again one by one
        return [p for p in packages
                if output(["dpkg-query", "-W", "-f", "${db:Status-Status}", p]) != "installed"]
    have = {line.split()[1] for line in text.splitlines() if line.startswith("installed ")}
    return [p for p in packages if p not in have]


def install(packages: list[str], why: str) -> None:
    need = missing(packages)
    if not need:
        return
    if not shutil.which("apt-get"):
        raise Fail("this needs Debian or a relative (no apt-get); install by hand: " + " ".join(need))
    root = [] if os.geteuid() == 0 else ["sudo"]
    if root and not shutil.which("sudo"):
        raise Fail("not root and no sudo; install by hand: apt-get install " + " ".join(need))
    apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y",
           "-o", "DPkg::Lock::Timeout=900"]
    say(f"apt: {' '.join(need)}")
    run(f"apt: lists for {why}", [*apt, "update"])
    run(f"apt: installing {len(need)} packages for {why}",
        [*apt, "install", "--no-install-recommends", *need])


def java_ok() -> bool:
    try:
        text = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=60).stderr
    except OSError:
        return False
    m = re.search(r'version "(\d+)', text)
    return bool(m) and int(m.group(1)) >= 17


def java() -> None:
    if not java_ok():
        install(["openjdk-17-jre-headless"], "the broker and the registry")


def maven() -> None:
    if not shutil.which("mvn"):
        install(["maven"], "the broker's and the registry's download")


def dev() -> None:
    install(DEV, "the developers' checks")
