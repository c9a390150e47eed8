"""Sendmill's own processes: builds them, writes one .conf each, makes the topics."""
import os
import subprocess
from pathlib import Path
from . import credentials, infra, part_librdkafka, probe, render
from .base import REPO, Fail, run, say, sha256, tail
from .instance import BUCKET, Instance, write_private
from .supervise import Program
from .topology import Process

S3_PROGRAMS = {"mill-ingest", "mill-send"}  # attachments; the sinks have the lake


def build(i: Instance, procs: list[Process]) -> None:
    """Build the release tree's programs (not its tests); a build that $SENDMILL_BUILD names is its
    owner's, used as it is."""
    if os.environ.get("SENDMILL_BUILD"):
        if not (i.build / "bin").is_dir():
            raise Fail(f"SENDMILL_BUILD={i.build}: no bin/ in it; build it first")
        return
    env = {}
    pc = part_librdkafka.pkg_config_dir()
    if pc:
        env["PKG_CONFIG_PATH"] = f"{pc}:{os.environ.get('PKG_CONFIG_PATH', '')}".rstrip(":")
    targets = ["sendmill", "mill-provider-double",
               *(p.program for p in procs if "/" not in p.program)]
    if not (i.build / "build.ninja").exists():
        run("build: configure", ["cmake", "--preset", "release"], cwd=REPO, env=env)
    dry = subprocess.run(["ninja", "-n", "-C", i.build, *targets], capture_output=True, text=True,
                         env={**os.environ, **env})
    if dry.returncode != 0 or "no work to do" not in dry.stdout:
        run("build: release (a minute or two the first time)",
            ["cmake", "--build", i.build, "--target", *targets], cwd=REPO, env=env)


def values(i: Instance) -> dict[str, str]:
    """What the templates of conf/ may use."""
    infra.webhook_key(i)
    i.path("data", "stages").mkdir(parents=True, exist_ok=True)
    return {
        "BROKERS": i.brokers, "REGISTRY": i.registry,
        "STATE": i.path("data", "stages"),
        "INGEST_LISTEN": f"127.0.0.1:{i.ports['ingest']}", "INGEST_URL": i.url("ingest"),
        "UNSUBSCRIBE_KEY_FILE": i.path("secrets", "unsubscribe_key"),
        "S3_ENDPOINT": i.url("s3"), "S3_BUCKET": BUCKET,
        "SENDGRID_URL": os.environ.get("SENDMILL_SENDGRID_URL", i.url("provider")),
        "PROVIDERS": _providers(), "SENDGRID_KEY_FILE": _key(i, "sendgrid"),
        "MAILGUN_URL": os.environ.get("SENDMILL_MAILGUN_URL", i.url("provider")),
        "MAILGUN_DOMAIN": os.environ.get("SENDMILL_MAILGUN_DOMAIN", "mg.example.com"),
        "MAILGUN_KEY_FILE": _key(i, "mailgun"),
        "MAILGUN_SIGNING_KEY_FILE": i.path("secrets", "mailgun_signing_key"),
        "SMTP_URL": os.environ.get("SENDMILL_SMTP_URL", f"smtp://127.0.0.1:{i.ports['smtp']}"),
        "WEBHOOK_PUBLIC_KEY": i.secret("webhook_public"),
        "CREDENTIALS_FILE": credentials.make_file(i)}


def _providers() -> str:
    """SendGrid (the double) unless others were named, or only one other was pointed somewhere."""
    given = os.environ
    if given.get("SENDMILL_PROVIDERS"):
        return given["SENDMILL_PROVIDERS"]
    pointed = [p for p in ("sendgrid", "mailgun", "smtp") if given.get(f"SENDMILL_{p.upper()}_URL")]
    return pointed[0] if pointed else "sendgrid"


def _key(i: Instance, provider: str) -> Path:
    """File with a provider's API key: the one that was given, else the instance's own."""
    given = os.environ.get(f"SENDMILL_{provider.upper()}_KEY")
    if not given:
        return i.path("secrets", f"{provider}_key")
    path = i.path("secrets", f"{provider}_key_given")
    write_private(path, given + "\n")
    return path


def write_conf(i: Instance, p: Process, known: dict[str, str]) -> Path:
    """conf/common, conf/stage for all that the stage runtime runs, conf/<program>, conf/<process>,
    then what the topology says. A key that stands twice is an error that the process reports."""
    mine = {**known, "STATUS_PORT": p.status_port}
    templates = ["common"] + (["stage"] if p.kind != "ingest" else []) \
        + [Path(p.program).name.removeprefix("mill-"), p.name]
    parts = [render.text(path, mine) for t in dict.fromkeys(templates)
             if (path := render.CONF / f"{t}.conf.in").exists()]
    lines = [f"in.{k} = {v}" for k, v in p.ports_in.items()]
    lines += [f"out.{k} = {v}" for k, v in p.ports_out.items()]
    lines += [f"{k} = {v}" for k, v in p.options.items()]
    parts.append("# from the topology\n" + "\n".join(lines) + "\n")
    path = i.path("conf", p.name + ".conf")
    write_private(path, "\n".join(parts))
    return path


def passed_on(program_name: str, environ) -> dict[str, str]:
    """The variables of `up` that a process gets: its own options and the sanitizers'."""
    own = "MILL_" + program_name.removeprefix("mill-").upper().replace("-", "_") + "_"
    return {k: v for k, v in environ.items() if k.startswith(own) or k.endswith("SAN_OPTIONS")}


def program(i: Instance, p: Process, known: dict[str, str]) -> Program:
    binary = p.binary(i.build)
    if not binary.exists():
        raise Fail(f"{p.name}: {binary} does not exist")
    conf = write_conf(i, p, known)
    env = {"AWS_ACCESS_KEY_ID": i.secret("s3_access_key"),
           "AWS_SECRET_ACCESS_KEY": i.secret("s3_secret_key"),
           "AWS_REGION": "us-east-1"} if p.kind == "sink" or p.program in S3_PROGRAMS else {}
    env |= passed_on(binary.name, os.environ)
    if "MILL_FAULT_DIR" in os.environ:  # a test's: base/fault.h
        env["MILL_FAULT_FILE"] = Path(os.environ["MILL_FAULT_DIR"], p.name)
    # The supervisor sees what changed by this, and `up` starts that process anew.
    env["SENDMILL_CONF_SHA256"] = sha256(conf)
    check = subprocess.run([binary, "--config", conf, "--check-config"], capture_output=True,
                           text=True, timeout=60, env={**os.environ, **env})
    if check.returncode != 0:
        raise Fail(f"{p.name}: its configuration {conf} is refused: {check.stderr.strip()}", 78)
    return Program(p.name, [binary, "--config", conf], env, stop_s=30)


def is_ready(p: Process) -> bool:
    return probe.http_ok(f"http://127.0.0.1:{p.status_port}/readyz")


def apply_topics(i: Instance) -> None:
    """Create and check topics and schemas by the operator's own command."""
    tool = i.build / "bin/sendmill"
    if not tool.exists():
        raise Fail(f"{tool} does not exist: no topics can be made")
    log = i.log("topics")
    with open(log, "ab") as out:
        rc = subprocess.run(
            [tool, "topics", "apply"], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=REPO,
            timeout=180, env={**os.environ, "BROKERS": i.brokers, "REGISTRY": i.registry,
                              "SENDMILL_TOPOLOGY": ":".join(map(str, i.topology))}).returncode
    if rc != 0:
        raise Fail(f"sendmill topics apply exited {rc}; the end of {log}:\n{tail(log)}")
    say("topics: as the topology says")
