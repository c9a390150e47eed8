"""DuckDB on the lake's S3. Runs in the Python environment of the cache (setup python), and takes
the place and the keys from the environment as `deploy/local/env` prints it."""
import os
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import duckdb_extension_httpfs


def connect() -> duckdb.DuckDBPyConnection:
    """A connection that can read s3://$S3_BUCKET/… . The extension comes from the environment, not
    from the network."""
    home = Path(duckdb_extension_httpfs.__file__).parent / "extensions"
    extension = next(home.glob(f"v{duckdb.__version__}/httpfs.duckdb_extension"))
    url = urlsplit(os.environ["S3_ENDPOINT"])
    con = duckdb.connect()
    con.execute(f"LOAD '{extension}'")
    con.execute("SET TimeZone = 'UTC'")
    con.execute(
        "CREATE SECRET (TYPE s3, KEY_ID {}, SECRET {}, ENDPOINT {}, USE_SSL {}, URL_STYLE 'path', "
        "REGION 'us-east-1')".format(
            _text(os.environ["AWS_ACCESS_KEY_ID"]), _text(os.environ["AWS_SECRET_ACCESS_KEY"]),
            _text(url.netloc), "true" if url.scheme == "https" else "false"))
    return con


def files(topic: str) -> str:
    """The glob of a topic's objects."""
    return f"s3://{os.environ['S3_BUCKET']}/topic={topic}/**/*.parquet"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
