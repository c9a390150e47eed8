"""Which data files an Iceberg table consists of just now; what was written and not committed is not among them."""
import json
import sqlite3
from functools import lru_cache
from pathlib import Path

import fastavro

DELETED = 2  # manifest entry's status


def live_files(catalog: Path, lake: Path) -> list[Path]:
    """catalog: SQLite file of a JdbcCatalog; lake: the folder that is its bucket. Data files of the current
    snapshot of every table in it; none while there is no table."""
    try:
        with sqlite3.connect(f"file:{catalog}?mode=ro", uri=True) as db:
            tables = db.execute("select metadata_location from iceberg_tables").fetchall()
    except sqlite3.OperationalError:  # not there yet
        return []
    return [f for (metadata,) in tables if metadata for f in _of_metadata(metadata, lake)]


def _path(uri: str, lake: Path) -> Path:
    return lake / uri.removeprefix("s3://").partition("/")[2]


@lru_cache
def _of_metadata(uri: str, lake: Path) -> list[Path]:
    table = json.loads(_path(uri, lake).read_text())
    current = [s for s in table.get("snapshots", []) if s["snapshot-id"] == table.get("current-snapshot-id")]
    manifests = [m["manifest_path"] for s in current for m in _records(s["manifest-list"], lake)]
    return [f for m in manifests for f in _of_manifest(m, lake)]


@lru_cache(maxsize=None)
def _of_manifest(uri: str, lake: Path) -> list[Path]:
    return [_path(e["data_file"]["file_path"], lake) for e in _records(uri, lake) if e["status"] != DELETED]


def _records(uri: str, lake: Path) -> list[dict]:
    with open(_path(uri, lake), "rb") as f:
        return list(fastavro.reader(f))
