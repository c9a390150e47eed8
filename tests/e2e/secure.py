"""A secured broker: SASL (SCRAM) over TLS by options alone, for every process and for `sendmill`. A
wrong password or a wrong CA is said and waited out, and nothing is lost by it."""
import json
import os
import signal
import socket
import subprocess
import tempfile
import unittest
import uuid

import lab

PROCESSES = ["INGEST", "VALIDATE", "SEND", "UNPACK", "ENRICH", "DEADLETTER", "DELAY", "SINK_PARQUET"]
SECRETS = lab.state_dir() / "secrets"
PORT = json.loads((lab.state_dir() / "instance.json").read_text())["ports"]["secure"]


def options(program: str, **other: str) -> dict[str, str]:
    """What a user writes, as the program's environment."""
    rdkafka = {"SECURITY_PROTOCOL": "sasl_ssl", "SASL_MECHANISMS": "SCRAM-SHA-512",
               "SASL_USERNAME": "sendmill", "SASL_PASSWORD": f"@{SECRETS}/broker_password",
               "SSL_CA_LOCATION": str(SECRETS / "broker_ca.pem"), **other}
    return {f"MILL_{program}_BROKERS": f"127.0.0.1:{PORT}",
            **{f"MILL_{program}_RDKAFKA_{k}": v for k, v in rdkafka.items()}}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Process:
    """One of ours, started by hand with the instance's configuration and other options."""

    def __init__(self, name: str, env: dict[str, str], *flags: str):
        self.log, self.port = tempfile.TemporaryFile("w+"), free_port()
        self.p = subprocess.Popen(
            [lab.BUILD / f"bin/mill-{name}", "--config", lab.state_dir() / f"conf/{name}.conf",
             f"--status-listen=127.0.0.1:{self.port}", *flags],
            env={**os.environ, **env}, stdout=self.log, stderr=self.log)

    def ready(self) -> tuple[int, str]:
        try:
            r = lab.requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=10)
            return r.status_code, r.text
        except lab.requests.ConnectionError:
            return 0, ""

    def said(self, text: str) -> bool:
        self.log.seek(0)
        return text in self.log.read()

    def end(self) -> int:
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGTERM)
        code = self.p.wait(60)
        self.log.close()
        return code


class Secure(unittest.TestCase):
    def setUp(self):
        lab.forget_calls()

    def post(self) -> str:
        r = lab.post(lab.mail())
        self.assertEqual(r.status_code, 202, r.text)
        return r.json()["message_ids"][0]

    def test_every_process(self):
        before = dict(os.environ)
        try:
            for program in PROCESSES:
                os.environ.update(options(program))
            lab.local("up")
            sent = self.post()
            lab.wait_for("its call", lambda: lab.calls().get(sent), 30)
            lab.wait_for("its event", lambda: sent in [
                lab.decode(m.value())["message_id"] for m in lab.read("mail.events")], 30)
        finally:
            os.environ.clear()
            os.environ.update(before)
            lab.local("up")

    def refused(self, words: str, why: str, **wrong: str) -> None:
        lab.local("ctl", "stop", "validate")
        stage = Process("validate", options("VALIDATE", **wrong))
        try:
            waiting = [self.post() for _ in range(3)]
            lab.wait_for("the log line", lambda: stage.said(words), 20)
            lab.wait_for("not ready", lambda: stage.ready() == (503, why + "\n"), 20)
            self.assertEqual(lab.calls(), {})
            self.assertEqual(stage.end(), 0)
            stage = Process("validate", options("VALIDATE"))
            lab.wait_for("ready with what is right", lambda: stage.ready()[0] == 200, 30)
            lab.wait_for("what waited", lambda: set(waiting) <= set(lab.calls()), 30)
        finally:
            self.assertEqual(stage.end(), 0)
            lab.local("ctl", "start", "validate")
        self.assertEqual(set(lab.calls().values()), {1})

    def test_wrong_password(self):
        self.refused("SASL authentication error", "the broker refuses us", SASL_PASSWORD="wrong")

    def test_wrong_ca(self):
        self.refused("certificate verify failed", "waiting for the input topics",
                     SSL_CA_LOCATION=self.other_ca())

    def other_ca(self) -> str:
        where = tempfile.mkdtemp(prefix="other-ca-")
        self.addCleanup(subprocess.run, ["rm", "-r", where], check=True)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=another", "-keyout",
                        "/dev/null", "-out", f"{where}/ca.pem"], check=True, capture_output=True)
        return f"{where}/ca.pem"

    def test_ingest(self):
        port = free_port()
        edge = Process("ingest", options("INGEST", SASL_PASSWORD="wrong"),
                       f"--listen=127.0.0.1:{port}")
        try:
            lab.wait_for("the log line", lambda: edge.said("SASL authentication error"), 20)
            self.assertEqual(edge.ready()[0], 503)
            r = lab.HTTP.post(f"http://127.0.0.1:{port}/v1/mail", json=lab.mail(), timeout=30)
            self.assertEqual(r.status_code, 503, r.text)
            self.assertIn("Retry-After", r.headers)
        finally:
            self.assertEqual(edge.end(), 0)

    def test_sendmill(self):
        def run(**wrong):
            return subprocess.run([lab.BUILD / "bin/sendmill", "topics", "list"], text=True,
                                  env={**os.environ, "REGISTRY": lab.ENV["REGISTRY"],
                                       **options("SENDMILL", **wrong)},
                                  capture_output=True, timeout=60, check=False)
        done = run()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("mail.requests", done.stdout)
        done = run(SASL_PASSWORD=uuid.uuid4().hex)
        self.assertEqual(done.returncode, 77, done.stderr)
        self.assertIn("refuses our user or password", done.stderr)
        done = run(SSL_CA_LOCATION=self.other_ca())
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertIn("ssl.ca.location", done.stderr)


if __name__ == "__main__":
    lab.main()
