"""Prints the rows of one SQL statement; lake('mail.events') in it names a topic's Parquet files."""
import re
import sys

import duckdb
from . import lake


def main() -> None:
    con = lake.connect()
    text = re.sub(r"\blake\('([a-z0-9._-]+)'\)", lambda m: f"read_parquet('{lake.files(m.group(1))}', "
                  "hive_partitioning = true, union_by_name = true)", sys.argv[1])
    try:
        con.sql(text).show(max_width=200, max_rows=1000)
    except duckdb.Error as e:
        sys.exit(f"sql: {e}")


if __name__ == "__main__":
    main()
