"""deploy/local/ctl [--name N] VERB PART: handle one part by its name."""
import argparse
import os
import signal
import sys
from . import cmd_up, instance, supervise
from .base import Fail, main

VERBS = """verbs:
  pid PART              its process id
  stop PART             SIGTERM and wait; stays down
  start PART            start it and wait until it is ready
  restart PART          stop, then start
  kill [-SIGNAL] PART   send a signal (default -9); the supervisor starts what ended again
  wait PART             wait until it is ready
  log PART              print its log"""


def _signal(text: str) -> int:
    text = text.lstrip("-").upper()
    if text.isdecimal():
        return int(text)
    try:
        return signal.Signals["SIG" + text.removeprefix("SIG")].value
    except KeyError:
        raise Fail(f"kill: no signal '{text}'", 2) from None


def _need_running(i: instance.Instance, part: str) -> None:
    if not supervise.running(i):
        raise Fail(f"instance '{i.name}' does not run")
    if part not in supervise.states(i):
        raise Fail(f"no part '{part}' in instance '{i.name}'; it has "
                   + " ".join(sorted(supervise.states(i))))


def command(argv: list[str]) -> None:
    ap = argparse.ArgumentParser(prog="ctl", description="Handle one part of a running instance.",
                                 formatter_class=argparse.RawDescriptionHelpFormatter, epilog=VERBS)
    instance.add_name(ap)
    ap.add_argument("verb", choices="pid stop start restart kill wait log".split())
    # '-9' would look like an option to argparse
    number = next((a for a in argv if a[:1] == "-" and "kill" in argv[:argv.index(a)]
                   and a not in ("--name", "-h", "--help")), "-9")
    ap.add_argument("part")
    args = ap.parse_args([a for a in argv if a != number])
    i = instance.load(args.name)
    _need_running(i, args.part)
    if args.verb == "pid":
        print(supervise.pid(i, args.part))
    elif args.verb == "kill":
        os.kill(supervise.pid(i, args.part), _signal(number))
    elif args.verb == "log":
        with open(i.log(args.part), errors="replace") as f:
            sys.stdout.writelines(f)
    else:
        if args.verb in ("stop", "restart"):
            supervise.stop(i, args.part)
        if args.verb in ("start", "restart"):
            supervise.start(i, args.part)
        if args.verb != "stop":
            cmd_up.Starter(i).wait(args.part, cmd_up.ready_test(i, args.part))


if __name__ == "__main__":
    main(command)
