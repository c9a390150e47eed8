"""deploy/local/down [--name N | --all] [--wipe]: stop the stack; its data stays unless wiped."""
import argparse
from . import infra, instance, supervise
from .base import STATE, main, say


def down(name: str, wipe: bool = False) -> None:
    i = instance.load(name)
    with i.lock():
        if supervise.shut_down(i, infra.STOP_LAST):
            say(f"instance '{name}' is down")
        if wipe:
            instance.remove(i)
            say(f"instance '{name}': data, logs and secrets removed")


def command(argv: list[str]) -> None:
    ap = argparse.ArgumentParser(prog="down", description="Stop an instance of the local stack.")
    instance.add_name(ap)
    ap.add_argument("--all", action="store_true", help="every instance of this user")
    ap.add_argument("--wipe", action="store_true", help="remove its data, logs and secrets too")
    args = ap.parse_args(argv)
    names = sorted(p.parent.name for p in STATE.glob("*/instance.json"))
    for name in names if args.all else [args.name]:
        if args.all or name in names:
            down(name, args.wipe)


if __name__ == "__main__":
    main(command)
