"""The parts that are not ours: broker, registry, S3, mailbox; and the provider double."""
import hashlib
import os
import subprocess
from pathlib import Path
from . import part_java, part_python, part_s3, probe, render
from .base import LOCAL, Fail, output, run
from .instance import BUCKET, Instance, write_private
from .supervise import Program

NAMES = ["broker", "registry", "s3", "mailbox", "provider"]
NEEDS = {"registry": ["broker"]}
STOP_LAST = ["registry", "s3", "mailbox", "broker"]  # after all that use them, in this order


def setup_parts(names: list[str]) -> list[str]:
    """Which parts of `setup` these need."""
    need = {"broker": ["broker"], "registry": ["registry"], "s3": ["s3"], "mailbox": ["python"]}
    return ["packages", *dict.fromkeys(p for n in names for p in need.get(n, []))]


def broker_pem(i: Instance) -> Path:
    """Key and certificate of the broker's secured listener; broker_ca.pem is for its clients."""
    both, ca = i.path("secrets", "broker.pem"), i.path("secrets", "broker_ca.pem")
    if not both.exists():
        key = i.path("secrets", "broker_key.pem")
        if output(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                   "-nodes", "-days", "3650", "-subj", "/CN=127.0.0.1", "-addext",
                   "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", ca]) is None:
            raise Fail("openssl cannot make the broker's certificate")
        write_private(both, key.read_text() + ca.read_text())
        key.unlink()
    return both


def broker(i: Instance) -> Program:
    i.path("data").mkdir(exist_ok=True)
    values = {"BROKER_PORT": i.ports["broker"], "SECURE_PORT": i.ports["secure"],
              "CONTROLLER_PORT": i.ports["controller"], "SECURE_PEM": broker_pem(i),
              "DATA": i.path("data")}
    conf = render.to_file(i, "broker.properties.in", values)
    log4j = render.to_file(i, "log4j2.properties.in", values)
    java = ["java", "-cp", f"{part_java.BROKER}/jars/*", f"-Dlog4j2.configurationFile={log4j}"]
    if not i.path("data", "broker", "meta.properties").exists():
        run("broker: formatting its storage",
            [*java, "-Xmx128m", "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format",
             "--standalone", f"--cluster-id={i.secret('cluster_id')}", "-c", conf, "--add-scram",
             f"SCRAM-SHA-512=[name=sendmill,password={i.secret('broker_password')}]"],
            log=i.log("broker-format"))
    return Program("broker", [*java, "-Xms256m", "-Xmx512m", "-XX:MaxGCPauseMillis=20",
                              "kafka.Kafka", conf], stop_s=30, ready_s=120)


def registry(i: Instance) -> Program:
    env = {"APICURIO_STORAGE_KIND": "kafkasql", "APICURIO_KAFKASQL_BOOTSTRAP_SERVERS": i.brokers,
           "QUARKUS_HTTP_HOST": "127.0.0.1", "QUARKUS_HTTP_PORT": i.ports["registry"],
           "QUARKUS_LOG_CONSOLE_COLOR": "false", "QUARKUS_PROFILE": "prod"}
    return Program("registry", ["java", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                                "-jar", part_java.REGISTRY_JAR], env, ready_s=180)


def _has_xattr(where: Path) -> bool:
    try:
        os.setxattr(where, "user.sendmill", b"1")
        return True
    except OSError:
        return False


def s3(i: Instance) -> Program:
    root, iam, meta = i.path("data", "s3"), i.path("data", "s3-iam"), i.path("data", "s3-meta")
    for d in (root, iam, meta):
        d.mkdir(exist_ok=True)
    env = {"ROOT_ACCESS_KEY": i.secret("s3_access_key"),
           "ROOT_SECRET_KEY": i.secret("s3_secret_key")}
    sidecar = [] if _has_xattr(root) else ["--sidecar", meta]
    return Program("s3", [part_s3.BINARY, "--port", f"127.0.0.1:{i.ports['s3']}", "--iam-dir", iam,
                          "--health", "/health", "--keep-alive", "--quiet", "posix", *sidecar,
                          root], env)


def mailbox(i: Instance) -> Program:
    return Program("mailbox", [part_python.PYTHON, "-u", LOCAL / "stack/mailbox.py",
                               i.ports["mailbox"], i.ports["smtp"]])


def webhook_key(i: Instance) -> Path:
    """The key pair with which the double signs its events; the public half is given to ingest."""
    private, public = i.path("secrets", "webhook_private.pem"), i.path("secrets", "webhook_public")
    if not public.exists():
        pem = output(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
                      "ec_paramgen_curve:P-256"])
        if pem is None:
            raise Fail("openssl cannot make an EC key")
        write_private(private, pem)
        text = output(["openssl", "pkey", "-in", private, "-pubout"])
        # As SendGrid shows it: the base64 of the DER, on one line.
        write_private(public, "".join((text or "").splitlines()[1:-1]) + "\n")
    return private


def provider(i: Instance) -> Program:
    return Program("provider", [
        i.build / "bin/mill-provider-double", "--listen", f"127.0.0.1:{i.ports['provider']}",
        "--webhook-url", i.url("ingest") + "/v1/callbacks/sendgrid",
        "--webhook-key", webhook_key(i),
        "--mailgun-webhook-url", i.url("ingest") + "/v1/callbacks/mailgun",
        "--mailgun-signing-key", f"@{i.path('secrets', 'mailgun_signing_key')}"])


def program(i: Instance, name: str) -> Program:
    return {"broker": broker, "registry": registry, "s3": s3, "mailbox": mailbox,
            "provider": provider}[name](i)


def is_ready(i: Instance, name: str) -> bool:
    return {"broker": lambda: probe.broker(i.ports["broker"]),
            "registry": lambda: probe.http_ok(i.registry + "/subjects"),
            "s3": lambda: probe.http_ok(i.url("s3") + "/health"),
            "mailbox": lambda: probe.http_ok(i.url("mailbox") + "/messages")
            and probe.smtp(i.ports["smtp"]),
            "provider": lambda: probe.http_ok(i.url("provider") + "/calls")}[name]()


def ports(name: str) -> list[str]:
    """Names of the ports that a part listens on."""
    return {"broker": ["broker", "secure", "controller"], "mailbox": ["mailbox", "smtp"]}.get(name, [name])


def make_bucket(i: Instance) -> None:
    """PUT the lake's bucket; it may exist. The secret goes to curl by its standard input."""
    conf = (f'user = "{i.secret("s3_access_key")}:{i.secret("s3_secret_key")}"\n'
            f'url = "{i.url("s3")}/{BUCKET}"\naws-sigv4 = "aws:amz:us-east-1:s3"\n'
            f'header = "x-amz-content-sha256: {hashlib.sha256().hexdigest()}"\n'
            'request = "PUT"\nsilent\noutput = "/dev/null"\nwrite-out = "%{http_code}"\n'
            'max-time = 20\n')
    p = subprocess.run(["curl", "-K", "-"], input=conf, capture_output=True, text=True, timeout=30)
    if p.stdout not in ("200", "409"):
        raise Fail(f"s3: making the bucket '{BUCKET}' was answered {p.stdout or p.returncode}")
