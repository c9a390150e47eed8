"""A large mail as a whole: POST, S3 by content hash, send, and the very bytes in the mailbox. An object
that is gone or altered is a dead letter with its reason, never a mail without it; over the limit is
refused at once.
"""
import base64
import email
import email.policy
import hashlib
import os
import time
import unittest
import uuid

import boto3
import lab
from own_send import OwnSend

LARGE = 20_000_000
OVER = 22_500_000  # 30 MB as base64


def post(content: bytes) -> dict:
    """A mail with it; the answer, and the record that was written."""
    began = time.monotonic()
    body = lab.mail(f"large+{uuid.uuid4().hex[:8]}@example.org", attachments=[
        {"filename": "a.bin", "type": "application/octet-stream",
         "content": base64.b64encode(content).decode()}])
    r = lab.post(body, timeout=120)
    return {"status": r.status_code, "json": r.json(), "seconds": time.monotonic() - began,
            "ids": r.json().get("message_ids")}


class Attachments(unittest.TestCase):
    """send is stopped until all mails are posted and two of their objects are tampered with; then
    one by SMTP takes its place, so that the mail lies in the mailbox as it is."""

    @classmethod
    def setUpClass(cls):
        cls.s3 = boto3.client("s3", endpoint_url=lab.ENV["S3_ENDPOINT"], region_name="us-east-1",
                              aws_access_key_id=lab.ENV["AWS_ACCESS_KEY_ID"],
                              aws_secret_access_key=lab.ENV["AWS_SECRET_ACCESS_KEY"])
        lab.local("ctl", "stop", "send")
        cls.large, cls.gone, cls.altered = (os.urandom(n) for n in (LARGE, 300_000, 300_000))
        cls.answers = {name: post(content) for name, content in (
            ("large", cls.large), ("gone", cls.gone), ("altered", cls.altered))}
        cls.s3.delete_object(Bucket=lab.ENV["S3_BUCKET"], Key=cls.key(cls.gone))
        cls.s3.put_object(Bucket=lab.ENV["S3_BUCKET"], Key=cls.key(cls.altered),
                          Body=b"X" + cls.altered[1:])
        cls.send = OwnSend("--providers", "smtp")

    @classmethod
    def tearDownClass(cls):
        cls.send.end()
        lab.local("ctl", "start", "send")

    @classmethod
    def key(cls, content: bytes) -> str:
        """The one object of this content, whatever day it is."""
        digest = hashlib.sha256(content).hexdigest()
        pages = cls.s3.get_paginator("list_objects_v2").paginate(Bucket=lab.ENV["S3_BUCKET"],
                                                                 Prefix="attachments/")
        keys = [o["Key"] for p in pages for o in p.get("Contents", []) if digest in o["Key"]]
        assert len(keys) == 1, f"{digest}: {keys}"
        return keys[0]

    def mails(self, message: str) -> list[int]:
        all_ = lab.requests.get(f"{lab.ENV['MAILBOX']}/messages", timeout=30).json()
        return [m["id"] for m in all_
                if ["X-Mill-Message-Id", message] in [[k.title(), v] for k, v in m["headers"]]]

    def test_1_the_very_bytes(self):
        answer = self.answers["large"]
        self.assertEqual(answer["status"], 202, answer)
        head = self.s3.head_object(Bucket=lab.ENV["S3_BUCKET"], Key=self.key(self.large))
        self.assertEqual(head["ContentLength"], LARGE)
        message = answer["ids"][0]
        found = lab.wait_for("the mail", lambda: self.mails(message), 120, 0.5)
        raw = lab.requests.get(f"{lab.ENV['MAILBOX']}/messages/{found[0]}", timeout=60).content
        parts = list(email.message_from_bytes(raw, policy=email.policy.default).iter_attachments())
        self.assertEqual([p.get_filename() for p in parts], ["a.bin"])
        self.assertEqual(hashlib.sha256(parts[0].get_content()).hexdigest(),
                         hashlib.sha256(self.large).hexdigest())
        print(f"    {LARGE} bytes: answered in {answer['seconds']:.1f} s, mail of {len(raw)} bytes",
              flush=True)

    def failed(self, name: str, reason: str) -> None:
        message = self.answers[name]["ids"][0]
        letter = lab.wait_for("the dead letter", lambda: [
            m for m in lab.dead_letters() if (m.key() or b"").decode() == message], 60, 1)
        self.assertIn(reason, lab.headers(letter[0])["__connect.errors.exception.message"])
        last = [v for v in (lab.decode(m.value()) for m in lab.read("mail.status"))
                if v["message_id"] == message][-1]
        self.assertIn(reason, last["reason"])
        self.assertEqual(last["state"], "FAILED")
        self.assertEqual(self.mails(message), [])

    def test_2_gone(self):
        self.failed("gone", "the stored object is missing")

    def test_3_altered(self):
        self.failed("altered", "the stored object has been altered")

    def test_4_over_the_limit(self):
        content = os.urandom(OVER)
        answer = post(content)
        self.assertEqual(answer["status"], 413, answer["json"])
        self.assertIn("attachments as base64, of 30000000 bytes", answer["json"]["detail"])
        with self.assertRaises(AssertionError):
            self.key(content)  # nothing was stored


if __name__ == "__main__":
    lab.main()
