"""Idempotency-Key over two ingest processes, one of which dies at each step: one answer, one mail.

The second process is the stack's own program and configuration with another instance name and
port. Also here, as they need ingest and the topics alone: a cancellation, a one-click unsubscribe,
and an attachment that travels by reference.
"""
import base64
import hashlib
import hmac
import json
import os
import re
import struct
import subprocess
import time
import unittest
import uuid
from concurrent.futures import ThreadPoolExecutor

import lab
import requests


class Ingest:
    """Another mill-ingest beside the stack's."""

    def __init__(self):
        self.state = lab.state_dir()
        self.point = self.state / "ingest-two.fault"
        self.log_path = self.state / "log/ingest-two.log"
        self.proc, self.log, self.url = None, None, ""
        self.arm(None)
        self.start()

    def arm(self, fault: str | None) -> None:
        """Die there (base/fault.h); None: nowhere, whatever an earlier run left."""
        self.point.unlink(missing_ok=True)
        self.point.with_name(self.point.name + ".fired").unlink(missing_ok=True)
        if fault:
            self.point.write_text(fault + "\n")

    def fired(self) -> bool:
        return self.point.with_name(self.point.name + ".fired").exists()

    def start(self) -> None:
        self.log = open(self.log_path, "wb")
        self.proc = subprocess.Popen(
            [lab.BUILD / "bin/mill-ingest", "--config", self.state / "conf/ingest.conf",
             "--instance=two", "--listen=127.0.0.1:0", "--status-listen=127.0.0.1:0"],
            env={**os.environ, **lab.ENV, "MILL_FAULT_FILE": str(self.point)},
            stdout=self.log, stderr=self.log)
        port = lab.wait_for("the second ingest", self.port, 60)
        self.url = f"http://127.0.0.1:{port}"
        lab.wait_for("its readiness", lambda: requests.get(
            self.url + "/readyz", timeout=5).status_code == 200, 60)

    def port(self) -> str | None:
        found = re.search(r'"ev":"started".*"port":(\d+)', self.log_path.read_text())
        return found and found[1]

    def kill(self) -> None:
        self.proc.kill()
        self.gone()

    def gone(self) -> None:
        self.proc.wait(30)
        self.log.close()

    def end(self) -> None:
        if self.proc.poll() is None:
            self.proc.terminate()
        self.gone()


def post(url: str, body: dict, key: str) -> requests.Response | None:
    """The answer; None when the process died before it."""
    try:
        return requests.post(url + "/v1/mail", json=body, timeout=60, auth=lab.HTTP.auth,
                             headers={"Idempotency-Key": key})
    except requests.ConnectionError:
        return None


def replayed(r: requests.Response) -> bool:
    return r.headers.get("Idempotent-Replayed") == "true"


def answer(r: requests.Response) -> tuple:
    """What must be the same each time."""
    b = r.json()
    return r.status_code, b["id"], b["accepted_at"], tuple(b["message_ids"])


def caught_up(*urls: str) -> None:
    """Until each process has read every key that is written now. Its lag alone does not say so: it
    counts up to the log's end as the process has last heard of it."""
    keys = {m.key() for m in lab.read("mail.idempotency") if m.value()}
    for url in urls:
        lab.wait_for("the keys of " + url, lambda u=url: lab.metric(
            u, "mill_ingest_table_records") >= len(keys) and not lab.metric(
                u, "mill_ingest_table_lag_records"))


def requests_of(ids: set[str]) -> list:
    return [m for m in lab.read("mail.requests") if m.key() and m.key().decode() in ids]


class Idempotency(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        lab.behave(None)
        cls.two = Ingest()
        cls.run_id = uuid.uuid4().hex[:8]

    @classmethod
    def tearDownClass(cls):
        cls.two.end()

    def key(self, n: object) -> str:
        return f"{self.run_id}/{self.id().rsplit('.', 1)[1]}/{n}"

    def body(self, n: object, **more) -> dict:
        return lab.mail(f"k{n}+{self.run_id}@example.org", **more)

    def called_once(self, ids: set[str]) -> None:
        messages = {i + "/0" for i in ids}
        lab.wait_for("the calls", lambda: messages <= set(lab.calls()), 60)
        time.sleep(2)  # a second one would come by now
        seen = lab.calls()
        self.assertEqual({seen[m] for m in messages}, {1})

    def test_1_any_process_gives_the_first_answer(self):
        one, two = lab.ENV["INGEST"], self.two.url
        first = {}
        for n in range(40):
            r = post(two if n % 2 else one, self.body(n), self.key(n))
            self.assertEqual(r.status_code, 202, r.text)
            self.assertFalse(replayed(r))
            first[n] = answer(r)
        caught_up(one, two)
        for url in (one, two):
            for n in range(40):
                r = post(url, self.body(n), self.key(n))
                self.assertEqual(answer(r), first[n])
                self.assertTrue(replayed(r))
                r = post(url, self.body(n, subject="another"), self.key(n))
                self.assertEqual(r.status_code, 422)
                self.assertEqual(r.json()["type"], "/problems/idempotency-key-reused")
        ids = {a[1] for a in first.values()}
        self.assertEqual(len(ids), 40)
        self.assertEqual(len(requests_of(ids)), 40)  # no second record either
        self.called_once(ids)

    def test_2_both_at_the_same_moment(self):
        def both(n: int) -> list[requests.Response]:
            with ThreadPoolExecutor(4) as pool:
                return list(pool.map(lambda u: post(u, self.body(n), self.key(n)),
                                     [lab.ENV["INGEST"], self.two.url] * 2))

        ids = set()
        for n in range(25):
            got = both(n)
            self.assertLessEqual({r.status_code for r in got}, {202, 409})
            accepted = {r.json()["id"] for r in got if r.status_code == 202}
            self.assertEqual(len(accepted), 1)
            ids |= accepted
        self.called_once(ids)

    def test_3_killed_at_each_step(self):
        """The rows of ingest/keys.h's table, in their order."""
        one = lab.ENV["INGEST"]
        steps = [("ingest.before-produce", 1, 0, False), ("ingest.after-ack", 1, 1, False),
                 ("ingest.before-produce", 2, 1, False), ("ingest.after-ack", 2, 1, True)]
        ids = set()
        for n, (point, count, written, known) in enumerate(steps):
            with self.subTest(point=point, count=count):
                self.two.arm(f"{point} kill {count}")
                self.assertIsNone(post(self.two.url, self.body(n), self.key(n)))
                self.two.gone()
                self.assertTrue(self.two.fired())
                caught_up(one)
                r = post(one, self.body(n), self.key(n))
                self.assertEqual(r.status_code, 202, r.text)
                self.assertEqual(replayed(r), known)
                ids.add(r.json()["id"])
                # Written before the death, and again unless the key was known.
                self.assertEqual(len(requests_of({r.json()["id"]})), written + (not known))
                self.two.start()
                again = lab.wait_for("the second's table", lambda: (
                    lambda a: a if replayed(a) else None)(
                        post(self.two.url, self.body(n), self.key(n))), 10)
                self.assertEqual(again.json()["id"], r.json()["id"])
        self.called_once(ids)

    def test_4_killed_under_load(self):
        """What was answered is answered the same by the other one; what was not is sent once."""
        one, first, lost = lab.ENV["INGEST"], {}, []

        def client(n: int) -> None:
            r = post(self.two.url, self.body(n), self.key(n))
            if r is not None and r.status_code == 202:
                first[n] = answer(r)
            else:
                lost.append(n)

        with ThreadPoolExecutor(16) as pool:
            work = [pool.submit(client, n) for n in range(400)]
            lab.wait_for("some answers", lambda: len(first) > 60, 30, 0.005)
            self.two.kill()
            for w in work:
                w.result()
        self.assertTrue(first and lost)
        caught_up(one)
        ids = set()
        for n in range(400):
            r = post(one, self.body(n), self.key(n))
            self.assertEqual(r.status_code, 202, r.text)
            if n in first:
                self.assertEqual(answer(r), first[n])
                self.assertTrue(replayed(r))
            ids.add(r.json()["id"])
        self.assertEqual(len(ids), 400)
        self.called_once(ids)
        print(f"    answered {len(first)}, killed before their answer {len(lost)}, "
              "second calls 0, lost 0", flush=True)
        self.two.start()

    def test_5_other_body_before_the_key_is_known(self):
        """Both are accepted; send lets only the first one through."""
        self.two.arm("ingest.after-ack kill 1")
        self.assertIsNone(post(self.two.url, self.body(0), self.key(0)))
        self.two.gone()
        r = post(lab.ENV["INGEST"], self.body(0, subject="another"), self.key(0))
        self.assertEqual(r.status_code, 202)
        self.called_once({r.json()["id"]})

        def conflict():
            return [m for m in lab.dead_letters() if r.json()["id"] in (m.key() or b"").decode()
                    and "idempotency-conflict" in json.dumps(lab.headers(m))]

        self.assertEqual(len(lab.wait_for("the conflict's dead letter", conflict, 30)), 1)
        self.two.start()


class Edge(unittest.TestCase):
    def test_cancellation(self):
        r = lab.post(lab.mail(send_at=int(time.time()) + 3600))
        self.assertEqual(r.status_code, 202, r.text)
        name = r.json()["message_ids"][0]
        d = lab.HTTP.delete(f"{lab.ENV['INGEST']}/v1/mail/{name.replace('/', '%2F')}", timeout=30)
        self.assertEqual((d.status_code, d.json()), (202, {"status": "cancelling", "id": name}))
        found = [m for m in lab.read("mail.cancellations") if m.key().decode() == name]
        self.assertEqual(len(found), 1)
        self.assertEqual(lab.decode(found[0].value())["tenant"], "demo")

    def test_one_click(self):
        key = (lab.state_dir() / "secrets/unsubscribe_key").read_text().strip().encode()
        address = f"leave+{uuid.uuid4().hex[:8]}@Example.org"
        parts = (b"demo", address.encode(), b"", b"r/0")
        payload = b"\x01" + int(time.time()).to_bytes(5, "big") + b"".join(
            struct.pack(">H", len(p)) + p for p in parts)
        tag = hmac.new(key, b"sendmill unsubscribe 1\n" + payload, "sha256").digest()[:16]
        link = (lab.ENV["INGEST"] + "/v1/unsubscribe/"
                + base64.urlsafe_b64encode(payload + tag).rstrip(b"=").decode())

        def found():
            return [v for m in lab.read("mail.suppressions") if m.value()
                    and (v := lab.decode(m.value()))["address"] == address.lower()]

        self.assertEqual(requests.get(link, timeout=30).status_code, 200)
        self.assertEqual(found(), [])
        r = requests.post(link, data={"List-Unsubscribe": "One-Click"}, timeout=30,
                          allow_redirects=False)
        self.assertEqual(r.status_code, 200)
        self.assertEqual([(v["tenant"], v["reason"], v["source"]) for v in found()],
                         [("demo", "UNSUBSCRIBE", "one-click")])

    def test_attachment_by_reference(self):
        content = os.urandom(3 << 20)
        r = lab.post(lab.mail(attachments=[{"filename": "a.bin",
                                            "content": base64.b64encode(content).decode()}]))
        self.assertEqual(r.status_code, 202, r.text)
        record = lab.decode(requests_of({r.json()["id"]})[0].value())
        ref = record["attachments"][0]["ref"]
        digest = hashlib.sha256(content).hexdigest()
        self.assertEqual((ref["sha256"], ref["bytes"]), (digest, len(content)))
        self.assertRegex(ref["key"], rf"^attachments/\d{{4}}-\d\d-\d\d/{digest}$")
        rows = lab.lake("SELECT size, sha256(content) FROM "
                        f"read_blob('s3://{lab.ENV['S3_BUCKET']}/{ref['key']}')")
        self.assertEqual(rows, [(len(content), digest)])


if __name__ == "__main__":
    lab.main()
