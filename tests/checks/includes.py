"""Who may include whom: the layers, and the one place of each big library."""
import re
from pathlib import Path

from tree import ROOT, c_files, read

# A folder (longest prefix wins) and the folders, or single headers, that it may use.
LAYERS = {
    "stages/runtime/base": ["stages/runtime/base"],
    "stages/runtime/net": ["stages/runtime/base", "stages/runtime/net"],
    "stages/runtime/avro": ["stages/runtime/base", "stages/runtime/net", "stages/runtime/avro"],
    "stages/runtime": ["stages/runtime"],  # kafka/ is the top layer: the loop behind stage.h
    "stages/mail": ["stages/runtime/base", "stages/runtime/net", "stages/runtime/avro",
                    "stages/mail"],
    "stages": ["stages"],
    # What a provider posts, and how it is verified, is the provider's own business.
    "ingest": ["stages/runtime", "stages/mail", "stages/send/provider.h", "ingest"],
    # lake/ is what the connectors share; none of them uses another one's folder.
    "connect/lake": ["stages/runtime", "connect/lake"],
    "connect/compact": ["stages/runtime", "connect/lake", "connect/compact"],
    "connect/sink_parquet": ["stages/runtime", "connect/lake", "connect/sink_parquet"],
    "connect": ["stages/runtime", "connect"],
    "deploy": ["stages/runtime", "stages/mail", "connect/lake", "connect/compact", "deploy"],
}
ONLY_IN = [
    (re.compile(r"librdkafka/|rdkafka"), "stages/runtime/kafka"),
    (re.compile(r"avro(\.h$|/)"), "stages/runtime/avro"),
    (re.compile(r"curl/|microhttpd"), "stages/runtime/net"),
    (re.compile(r"openssl/"), "stages/runtime/base", "stages/runtime/net", "stages/mail"),
    (re.compile(r"(arrow|parquet|nanoarrow)/"), "connect"),
]
SEARCH = ["stages/runtime", "stages", "connect", "."]
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)


def under(name: str, folder: str) -> bool:
    return name.startswith(folder + "/")


def layer(name: str) -> str | None:
    return max((p for p in LAYERS if under(name, p)), key=len, default=None)


def resolve(name: str, header: str) -> str | None:
    """The file of ours that an include means."""
    for base in [str(Path(name).parent), *SEARCH]:
        path = ROOT / base / header
        if path.is_file():
            return str(path.resolve().relative_to(ROOT))
    return None


def check() -> list[str]:
    faults = []
    for name in c_files():
        mine = layer(name)
        if not mine:
            continue
        for m in INCLUDE.finditer(read(name)):
            where = f"{name}:{read(name).count(chr(10), 0, m.start()) + 1}"
            target = resolve(name, m.group(2)) if m.group(1) == '"' else None
            if target:
                if not any(target == a or under(target, a) for a in LAYERS[mine]):
                    faults.append(f"{where}: {mine} must not use {target}")
                continue
            for pattern, *homes in ONLY_IN:
                if not pattern.match(m.group(2)):
                    continue
                if not any(under(name, h) for h in homes):
                    faults.append(f"{where}: only {' and '.join(homes)} may include {m.group(2)}")
                elif name.endswith(".h") and homes[0].endswith(("kafka", "avro")) \
                        and not name.endswith("_int.h"):
                    faults.append(f"{where}: only a private header (…_int.h) may include "
                                  f"{m.group(2)}")
    return faults
