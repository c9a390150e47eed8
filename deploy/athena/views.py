#!/usr/bin/env python3
"""views.py --engine athena|trino|duckdb|spark [VIEW…]: the views of views/, as the engine takes them.

They are written once, in the SQL of Athena and Trino; sqlglot translates. They read tables by the names
that `sendmill lake ddl` gives: mail_events, mail_status, mail_ledger, mail_dlq.
"""
import argparse
import re
from pathlib import Path

import sqlglot

FOLDER = Path(__file__).resolve().parent / "views"
ENGINES = {"athena": "athena", "trino": "trino", "duckdb": "duckdb", "spark": "spark"}


def tables(name: str) -> list[str]:
    """What a view reads: tables and other views."""
    tree = sqlglot.parse_one((FOLDER / f"{name}.sql").read_text(), read="trino")
    return sorted({t.name for t in tree.find_all(sqlglot.exp.Table)})


def names() -> list[str]:
    """All views, each behind those that it reads."""
    left, order = sorted(p.stem for p in FOLDER.glob("*.sql")), []
    while left:
        ready = [n for n in left if not set(tables(n)) & set(left) - {n}]
        order += ready
        left = [n for n in left if n not in ready]
    return order


def statement(name: str, engine: str) -> str:
    """CREATE OR REPLACE VIEW, without its semicolon."""
    text = (FOLDER / f"{name}.sql").read_text()
    says = re.match(r"(?:--.*\n)*", text).group(0)
    tree = sqlglot.parse_one(text, read="trino")
    for node in tree.walk():
        node.comments = None
    return f"{says}CREATE OR REPLACE VIEW {name} AS\n{tree.sql(dialect=ENGINES[engine], pretty=True)}"


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--engine", choices=ENGINES, default="athena")
    ap.add_argument("view", nargs="*", help="default: all, in an order in which each finds what it reads")
    args = ap.parse_args()
    for name in args.view or names():
        print(statement(name, args.engine) + ";\n")


if __name__ == "__main__":
    main()
