"""deploy/local without starting anything: parsing, merging, rendering, and the shipped topology."""
import argparse
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

REPO = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(REPO / "deploy/local"))
_TMP = tempfile.TemporaryDirectory()
os.environ["XDG_STATE_HOME"] = _TMP.name
os.environ["XDG_CACHE_HOME"] = _TMP.name + "/cache"
for _name in [n for n in os.environ if n.startswith("SENDMILL_")]:
    del os.environ[_name]

from stack import (cmd_ctl, cmd_env, cmd_up, credentials, instance, part_librdkafka,  # noqa: E402
                   processes, render, supervise, topology)
from stack.base import Fail  # noqa: E402

SHIPPED = json.loads((REPO / "deploy/topology.json").read_text())


class DebianUri(unittest.TestCase):
    DEB822 = ("Types: deb\nURIs: https://apt.example/tools\nSuites: x\nComponents: main\n\n"
              "Types: deb\nURIs: http://mirror.example/debian-security\nSuites: s\nComponents: main\n\n"
              "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n")
    CASES = [  # name, {file: text}, want (None = refused)
        ("deb822", {"sources.list.d/a.sources": DEB822}, "http://mirror.example/debian"),
        ("one line", {"sources.list": "deb http://m.example/debian bookworm main contrib\n"},
         "http://m.example/debian"),
        ("with options", {"sources.list": "deb [arch=amd64] http://m.example/debian/ b main\n"},
         "http://m.example/debian/"),
        ("snapshot", {"sources.list": "deb http://m.example/archive/debian/2025/ b main\n"},
         "http://m.example/archive/debian/2025/"),
        ("commented out", {"sources.list": "# deb http://m.example/debian b main\n"}, None),
        ("another distribution", {"sources.list": "deb http://m.example/ubuntu noble main\n"}, None),
        ("nothing", {}, None),
    ]

    def test_cases(self):
        for name, files, want in self.CASES:
            with self.subTest(name), tempfile.TemporaryDirectory() as d:
                (Path(d) / "sources.list.d").mkdir()
                for f, text in files.items():
                    (Path(d) / f).write_text(text)
                if want is None:
                    self.assertRaises(Fail, part_librdkafka.debian_uri, Path(d))
                else:
                    self.assertEqual(part_librdkafka.debian_uri(Path(d)), want)


class Parts(unittest.TestCase):
    def test_what_is_started(self):
        procs = ["ingest", "send"]
        for only, want in [
                ("registry", ["broker", "registry"]),
                ("topics", ["broker", "registry", "topics"]),
                ("send,s3", ["s3", "send"]),
                ("processes", procs),
                (None, ["broker", "registry", "s3", "mailbox", "provider", "topics", *procs])]:
            self.assertEqual(cmd_up._wanted(only, procs), want)
        self.assertRaises(Fail, cmd_up._wanted, "brokre", procs)

    def test_signals(self):
        for text, want in [("-9", 9), ("-STOP", 19), ("sigterm", 15)]:
            self.assertEqual(cmd_ctl._signal(text), want)
        self.assertRaises(Fail, cmd_ctl._signal, "-NOSUCH")

    def test_environment_of_a_process(self):
        env = {"MILL_SINK_PARQUET_FLUSH": "1s", "MILL_SEND_PROVIDERS": "smtp", "MILL_JOBS": "2",
               "ASAN_OPTIONS": "x", "HOME": "/"}
        self.assertEqual(processes.passed_on("mill-sink-parquet", env),
                         {"MILL_SINK_PARQUET_FLUSH": "1s", "ASAN_OPTIONS": "x"})

    def test_names(self):
        self.assertEqual(instance.instance_name("a-1"), "a-1")
        for bad in ("", "../x", "A", "lock", "a" * 33):
            self.assertRaises(argparse.ArgumentTypeError, instance.instance_name, bad)


class Instances(unittest.TestCase):
    def test_ports_secrets_and_env(self):
        i = instance.create("t", "21000")
        self.assertEqual((i.ports["broker"], i.ports["ingest"]), (21092, 21000))
        self.assertEqual(instance.create("t", None).base, 21000)  # remembered
        for f in (i.dir / "secrets").iterdir():
            self.assertEqual(stat.S_IMODE(f.stat().st_mode), 0o600, f)
        self.assertEqual(stat.S_IMODE((i.dir / "secrets").stat().st_mode), 0o700)
        self.assertEqual(list(cmd_env.environment(i)), [
            "BROKERS", "REGISTRY", "S3_ENDPOINT", "S3_BUCKET", "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY", "INGEST", "INGEST_AUTH", "PROVIDER", "MAILBOX"])
        self.assertFalse(supervise.running(i))

    def test_credentials_hold_no_secret(self):
        i = instance.create("c", "22000")
        text = credentials.make_file(i).read_text()
        self.assertRegex(text, r"(?m)^demo:\$y\$[^:]+:demo:\*$")
        self.assertRegex(text, r"(?m)^demo-key:sha256\$\$[0-9a-f]{64}:demo:\*$")
        for name in ("ingest_password", "ingest_api_key"):
            self.assertNotIn(i.secret(name), text)

    def test_auto_base_avoids_others(self):
        a, b = instance.create("a1", "auto"), instance.create("a2", "auto")
        self.assertGreaterEqual(abs(a.base - b.base), instance.SPAN)
        with mock.patch.dict(os.environ, {"SENDMILL_BASE": "auto"}):
            c = instance.create("a3", None)
        self.assertGreaterEqual(abs(c.base - a.base), instance.SPAN)
        self.assertEqual(instance.create("a3", None).base, c.base)

    def test_programs_that_left_the_topology_are_forgotten(self):
        i = instance.create("f", "22200")
        where = i.path("run", "programs")
        where.mkdir()
        for name in ("send", "screen"):
            (where / f"{name}.conf").touch()
        supervise.forget(i, {"send", "sink"})
        self.assertEqual([p.name for p in where.iterdir()], ["send.conf"])

    def test_what_a_killed_supervisor_left_is_ended(self):
        i = instance.create("o", "22400")
        mine = {**os.environ, "SUPERVISOR_SERVER_URL": f"unix://{i.path('run', 'supervisor.sock')}"}
        left = subprocess.Popen(["sleep", "60"], env=mine)
        other = subprocess.Popen(["sleep", "60"])
        try:
            os.kill(left.pid, signal.SIGSTOP)
            self.assertEqual(supervise.children(i), [left.pid])
            self.assertTrue(supervise.shut_down(i, []))
            self.assertEqual(left.wait(10), -signal.SIGTERM)
            self.assertIsNone(other.poll())
            self.assertFalse(supervise.shut_down(i, []))
        finally:
            for p in (left, other):
                p.kill()
                p.wait()


class Topology(unittest.TestCase):
    def write(self, name: str, value) -> Path:
        path = Path(_TMP.name) / name
        path.write_text(json.dumps(value))
        return path

    def test_later_file_adds_and_overrides(self):
        i = instance.create("topo", "23000")
        mine = self.write("mine.json", {"processes": [
            {"name": "screen", "program": "build/screen", "in": {"messages": "mail.messages"},
             "out": {"screened": "mail.screened"}},
            {"name": "send", "in": {"messages": "mail.screened"}, "options": {"x": "1"}}]})
        i.topology = [REPO / "deploy/topology.json", mine]
        procs = {p.name: p for p in topology.processes(i)}
        self.assertEqual(list(procs)[-1], "screen")
        self.assertEqual(procs["send"].ports_in["messages"], "mail.screened")
        self.assertEqual(procs["send"].binary(Path("/b")), Path("/b/bin/mill-send"))
        self.assertEqual(procs["screen"].binary(Path("/b")),
                         Path(_TMP.name).resolve() / "build/screen")
        self.assertEqual(procs["ingest"].status_port, 23100)

    def test_wrong_files_are_refused(self):
        i = instance.create("topo2", "24000")
        for value in ({"processes": [{"name": "x"}]}, {"processes": [{"program": "x"}]},
                      {"processes": [{"name": "x", "program": "y", "prots": {}}]}):
            i.topology = [self.write("bad.json", value)]
            self.assertRaises(Fail, topology.processes, i)

    def test_shipped_is_consistent(self):
        topics = {t["name"]: t for t in SHIPPED["topics"]}
        self.assertEqual(len(topics), len(SHIPPED["topics"]))
        joined: dict[str, set] = {}
        for t in topics.values():
            joined.setdefault(t.get("joined", t["name"]), set()).add(t["partitions"])
            self.assertEqual(t["config"]["retention.bytes"], "-1", t["name"])
            if "schema" in t:
                self.assertTrue((REPO / "schemas" / t["schema"]).exists(), t["schema"])
        self.assertTrue(all(len(counts) == 1 for counts in joined.values()), joined)
        for name in ("requests", "messages", "ledger", "status", "callbacks.events", "events",
                     "cancellations", "retry.validate", "retry.send", "retry.enrich"):
            self.assertEqual(topics[f"mail.{name}"].get("joined"), "mail", name)
        for p in SHIPPED["processes"]:  # what a stage reads, and what comes back to it
            if back := topics.get(f"mail.retry.{p['name']}"):
                for name in p["in"].values():
                    self.assertEqual(topics[name].get("joined"), back.get("joined", ""), name)
        for p in SHIPPED["processes"]:
            for names in [*p["in"].values(), *p["out"].values()]:
                for name in names.split(","):
                    self.assertIn(name, topics, p["name"])

    def test_shipped_topics_keep_what_the_ledger_rests_on(self):
        """How long, and by whose clock: the refusal age, a year of send_at, each delay and an outage."""
        day = 86400000
        config = {t["name"]: t["config"] for t in SHIPPED["topics"]}
        send = (REPO / "stages/send/send.c").read_text()
        age = int(re.search(r'"max-age-ms",.*?\.def = "(\d+)d"', send, re.S)[1]) * day
        keeps = {name: int(c["retention.ms"]) for name, c in config.items() if "retention.ms" in c}
        self.assertEqual(config["mail.ledger"]["cleanup.policy"], "compact,delete")
        self.assertGreaterEqual(keeps["mail.ledger"], age + day)
        self.assertGreaterEqual(keeps["mail.cancellations"], 366 * day + age)
        tiers = {"1s": 0, "10s": 0, "1m": 0, "10m": 0, "1h": 0, "1d": day}
        for tier, ms in tiers.items():
            self.assertEqual(config[f"mail.delay.{tier}"]["message.timestamp.type"], "LogAppendTime")
            self.assertGreaterEqual(keeps[f"mail.delay.{tier}"], ms + 7 * day, tier)
        self.assertEqual(config["mail.ledger"]["message.timestamp.type"], "LogAppendTime")
        stages = [p for p in SHIPPED["processes"] if p["kind"] == "stage"]
        work = {name for p in stages for name in p["in"].values()}
        work |= {name for name in config if name.startswith("mail.retry.")}
        for name in work - {"mail.cancellations"}:
            self.assertEqual(config[name]["cleanup.policy"], "delete")
            self.assertGreaterEqual(keeps[name], 7 * day, name)


class Rendering(unittest.TestCase):
    def test_every_template_is_filled(self):
        i = instance.create("render", "25000")
        known = processes.values(i)
        for p in topology.processes(i):
            text = processes.write_conf(i, p, known).read_text()
            keys = [line.split("=")[0].strip() for line in text.splitlines()
                    if "=" in line and not line.startswith("#")]
            self.assertEqual(len(keys), len(set(keys)), f"{p.name}: a key stands twice")
            self.assertNotRegex(text, r"@[A-Z_]+@")
            self.assertIn(f"status-listen = 127.0.0.1:{p.status_port}", text)

    def test_unknown_name_is_refused(self):
        path = Path(_TMP.name) / "x.in"
        path.write_text("a = @NO_SUCH@\n")
        self.assertRaises(Fail, render.text, path, {})


if __name__ == "__main__":
    unittest.main()
