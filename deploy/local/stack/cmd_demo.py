"""deploy/local/demo [--once]: the whole pipeline, shown with two mails."""
import argparse
import os
import subprocess
from . import cmd_down, cmd_env, cmd_setup, cmd_up, instance, part_python
from .base import LOCAL, Fail, main, say



def show(i: instance.Instance) -> None:
    """Send and follow the mails; raises unless they stand in the lake."""
    env = {**os.environ, **cmd_env.environment(i), "PYTHONPATH": str(LOCAL)}
    if subprocess.run([part_python.PYTHON, "-m", "stack.demo_mail"], env=env).returncode != 0:
        raise Fail(f"the mails did not come through; logs are in {i.path('log')}")


NEXT = """
It runs. Try next:
  eval "$({local}/env{name})"
  send    curl -u "$INGEST_AUTH" -H 'Content-Type: application/json' $INGEST/v1/mail \\
            -d '{{"from":"me@example.com","to":"you@example.org","subject":"Hi","text":"Hello"}}'
  follow  {bin}/sendmill tail mail.events --from @-10m
  break   printf 'not avro' | kcat -P -b $BROKERS -t mail.requests   # ends in the DLQ:
          {bin}/sendmill dlq ls
  ask     {local}/sql{name} "select type, count(*) from lake('mail.events') group by 1"
Stop it with {local}/down{name}"""


def command(argv: list[str]) -> None:
    ap = argparse.ArgumentParser(
        prog="demo", description="Start the local stack, send a mail by HTTP and one by topic, and "
        "show their way to the lake.")
    instance.add_name(ap)
    ap.add_argument("--once", action="store_true", help="in an instance of its own on free ports, "
                    "taken down and removed afterwards")
    args = ap.parse_args(argv)
    cmd_setup.setup(["packages", "python"])
    if not args.once:
        i = cmd_up.up(args.name)
        show(i)
        name = "" if args.name == "default" else f" --name {args.name}"
        say(NEXT.format(local=os.path.relpath(LOCAL), bin=os.path.relpath(i.build / "bin"),
                        name=name))
        return
    name, done = f"once-{os.getpid()}", False
    try:
        show(cmd_up.up(name, "auto"))
        done = True
    finally:
        if (instance.STATE / name / "instance.json").exists():
            cmd_down.down(name, wipe=done)  # the logs of a failure stay
    say("demo: both mails came through; everything is stopped and removed")


if __name__ == "__main__":
    main(command)
