"""deploy/local/env [--name N]: export lines for a shell, a test or an example."""
import argparse
import shlex
from . import credentials, instance, supervise
from .base import Fail, main
from .instance import BUCKET, Instance


def environment(i: Instance) -> dict[str, str]:
    return {"BROKERS": i.brokers, "REGISTRY": i.registry, "S3_ENDPOINT": i.url("s3"),
            "S3_BUCKET": BUCKET, "AWS_ACCESS_KEY_ID": i.secret("s3_access_key"),
            "AWS_SECRET_ACCESS_KEY": i.secret("s3_secret_key"), "INGEST": i.url("ingest"),
            "INGEST_AUTH": f"{credentials.USER}:{i.secret('ingest_password')}", "PROVIDER": i.url("provider"),
            "MAILBOX": i.url("mailbox")}


def command(argv: list[str]) -> None:
    ap = argparse.ArgumentParser(prog="env", description='Use as: eval "$(deploy/local/env)"')
    instance.add_name(ap)
    args = ap.parse_args(argv)
    i = instance.load(args.name)
    if not supervise.running(i):
        raise Fail(f"instance '{i.name}' does not run: start it with deploy/local/up")
    for name, value in environment(i).items():
        print(f"export {name}={_quoted(value)}")


def _quoted(value: str) -> str:
    text = shlex.quote(value)
    return text if text.startswith("'") else f"'{text}'"


if __name__ == "__main__":
    main(command)
