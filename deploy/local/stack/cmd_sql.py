"""deploy/local/sql [--name N] STATEMENT: ask DuckDB about the lake of a running instance."""
import argparse
import os
from . import cmd_env, cmd_setup, instance, part_python
from .base import LOCAL, main


def command(argv: list[str]) -> None:
    ap = argparse.ArgumentParser(
        prog="sql", description="Run one SQL statement on the lake with DuckDB. lake('TOPIC') names "
        "a topic's rows.",
        epilog="example: sql \"select type, count(*) from lake('mail.events') group by 1\"")
    instance.add_name(ap)
    ap.add_argument("statement")
    args = ap.parse_args(argv)
    cmd_setup.setup(["python"])
    env = {**os.environ, **cmd_env.environment(instance.load(args.name)), "PYTHONPATH": str(LOCAL)}
    os.execve(part_python.PYTHON, [str(part_python.PYTHON), "-m", "stack.query", args.statement],
              env)


if __name__ == "__main__":
    main(command)
