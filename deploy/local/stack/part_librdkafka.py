"""librdkafka >= 2.3: the system's where it is new enough, else Debian 13's source package built
here and unpacked into the cache. The system's own librdkafka is not touched.

The source comes from the machine's own Debian mirror through a private apt configuration, so that
apt checks its signature; the upstream tarball is pinned on top of that."""
import re
import tempfile
from pathlib import Path
from . import part_apt
from .base import CACHE, Fail, check_sha256, fresh_dir, output, run

VERSION = "2.8.0"
ORIG_SHA256 = "5bd1c46f63265f31c6bfcedcde78703f77d28238eadf23821c2b43fc30be3e25"
SUITE = "trixie"
MINIMUM = (2, 3)
BUILD_DEPENDS = """dpkg-dev debhelper fakeroot pkgconf python3 rapidjson-dev libcurl4-openssl-dev
    liblz4-dev libsasl2-dev libssl-dev libzstd-dev zlib1g-dev""".split()
FINAL = CACHE / "librdkafka" / VERSION


def system_is_new_enough() -> bool:
    text = output(["pkg-config", "--modversion", "rdkafka"])
    return bool(text) and tuple(map(int, re.findall(r"\d+", text)[:2])) >= MINIMUM


def pkg_config_dir() -> Path | None:
    found = sorted(FINAL.glob("usr/lib/*/pkgconfig"))
    return found[0] if found else None


def ready() -> bool:
    return pkg_config_dir() is not None or system_is_new_enough()


def debian_uri(etc: Path = Path("/etc/apt")) -> str:
    """The first URI of a source whose suite is a Debian release (deb822 or one-line format)."""
    for f in sorted(etc.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", f.read_text()):
            uri = re.search(r"(?mi)^URIs:\s*(\S+)", stanza)
            if uri and re.search(r"(?mi)^Components:.*\bmain\b", stanza) and \
                    re.search(r"/debian(/|$)", uri.group(1)):
                return uri.group(1)
    for f in [etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list"))]:
        if f.exists():
            m = re.search(r"(?m)^deb\s+(?:\[[^\]]*\]\s+)?(\S+/debian(?:/\S*)?)\s+\S+\s.*\bmain\b",
                          f.read_text())
            if m:
                return m.group(1)
    raise Fail("librdkafka >= 2.3 is needed, and no Debian mirror stands in /etc/apt to take "
               f"{SUITE}'s source from; install librdkafka-dev >= 2.3 by hand")


def private_apt(work: Path) -> dict:
    """An apt configuration of our own: only trixie's sources, nothing of the system's state."""
    for d in ("parts", "lists/partial", "cache/archives/partial"):
        (work / d).mkdir(parents=True)
    (work / "parts" / "source.sources").write_text(
        f"Types: deb-src\nURIs: {debian_uri()}\nSuites: {SUITE}\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n")
    conf = work / "apt.conf"
    conf.write_text(f'Dir::Etc::SourceList "/dev/null";\nDir::Etc::SourceParts "{work}/parts";\n'
                    f'Dir::State::Lists "{work}/lists";\nDir::Cache "{work}/cache";\n'
                    'APT::Sandbox::User "root";\n#clear APT::Update::Post-Invoke;\n'
                    '#clear APT::Update::Post-Invoke-Success;\n')
    return {"APT_CONFIG": str(conf)}


def relocate(root: Path) -> None:
    """Point the .pc file at its place in the cache; what is linked statically is not needed."""
    pc = next(root.glob("usr/lib/*/pkgconfig/rdkafka.pc"))
    triplet = pc.parent.parent.name
    text = pc.read_text()
    text = re.sub(r"(?m)^prefix=.*", f"prefix={FINAL}/usr", text)
    text = re.sub(r"(?m)^libdir=.*", f"libdir=${{prefix}}/lib/{triplet}", text)
    text = re.sub(r"(?m)^includedir=.*", "includedir=${prefix}/include", text)
    pc.write_text(re.sub(r"(?m)^(Requires|Libs)\.private:.*\n", "", text))
    for extra in [*root.glob("usr/lib/*/*++*"), *root.glob("usr/lib/*/*.a"),
                  *root.glob("usr/lib/*/pkgconfig/*++*")]:
        extra.unlink(missing_ok=True)


def make() -> None:
    part_apt.install(BUILD_DEPENDS, "building librdkafka")
    with tempfile.TemporaryDirectory(prefix="sendmill-librdkafka-") as tmp:
        work = Path(tmp)
        env = private_apt(work / "apt")
        src = work / "src"
        src.mkdir()
        run("librdkafka: source lists", ["apt-get", "-q", "update"], env=env)
        run("librdkafka: source package", ["apt-get", "-q", "source", "--download-only",
                                           f"librdkafka/{SUITE}"], env=env, cwd=src)
        dsc = next(src.glob("*.dsc"))
        if not dsc.name.startswith(f"librdkafka_{VERSION}-"):
            raise Fail(f"{SUITE} now has {dsc.name}, pinned is {VERSION}")
        check_sha256(src / f"librdkafka_{VERSION}.orig.tar.gz", ORIG_SHA256)
        run("librdkafka: unpacking", ["dpkg-source", "-x", dsc.name, "tree"], cwd=src)
        run("librdkafka: building (about a minute)", ["dpkg-buildpackage", "-b", "-us", "-uc"],
            cwd=src / "tree", env={"DEB_BUILD_OPTIONS": "nocheck nodoc parallel=2"})
        with fresh_dir(FINAL) as root:
            for deb in [*src.glob("librdkafka1_*.deb"), *src.glob("librdkafka-dev_*.deb")]:
                run(f"librdkafka: {deb.name}", ["dpkg-deb", "-x", deb, root])
            relocate(root)
