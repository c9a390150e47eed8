"""What a provider may answer, end to end: each outcome class ends where it should."""
import email
import email.policy
import time
import unittest

import lab
from own_send import OwnSend


def send_one(**more) -> str:
    r = lab.post(lab.mail(**more))
    assert r.status_code == 202, r.text
    return r.json()["message_ids"][0]


def letter(message: str):
    return [m for m in lab.dead_letters() if m.key() == message.encode()]


class Outcomes(unittest.TestCase):
    def setUp(self):
        self.addCleanup(lab.behave, None)

    def called(self, message: str, seconds: float = 60) -> int:
        return lab.wait_for(f"call of {message}", lambda: lab.calls().get(message), seconds)

    def dead(self, message: str) -> dict[str, str]:
        found = lab.wait_for(f"dead letter of {message}", lambda: letter(message), 90, 1)
        self.assertEqual(len(found), 1)
        return lab.headers(found[0])

    def test_503_comes_back_and_is_sent_once(self):
        lab.behave({"faults": [{"status": 503, "times": 1, "retry_after": 1}]})
        began = time.monotonic()
        message = send_one()
        self.assertEqual(self.called(message), 1)
        self.assertGreater(time.monotonic() - began, 1)  # by the 1 s delay topic
        self.assertEqual(letter(message), [])

    def test_429_comes_back_and_is_sent_once(self):
        lab.behave({"faults": [{"status": 429, "times": 1, "retry_after": 1}]})
        message = send_one()
        self.assertEqual(self.called(message), 1)
        self.assertEqual(letter(message), [])

    def test_400_is_a_dead_letter_at_once(self):
        lab.behave({"faults": [{"status": 400}]})
        message = send_one()
        h = self.dead(message)
        self.assertEqual(h["mill.class"], "permanent")
        self.assertEqual(h["mill.stage"], "send")
        self.assertIn("400", h["__connect.errors.exception.message"])

    def test_refused_credentials_dead_letter_nothing(self):
        lab.behave({"faults": [{"status": 401}]})
        message = send_one()
        time.sleep(5)
        self.assertEqual(letter(message), [])
        lab.behave(None)
        self.assertEqual(self.called(message, 90), 1)


class Smtp(unittest.TestCase):
    """The same stage with the SMTP provider, to a real SMTP server."""

    @classmethod
    def setUpClass(cls):
        lab.local("ctl", "stop", "send")
        cls.send = OwnSend("--providers", "smtp")

    @classmethod
    def tearDownClass(cls):
        cls.send.end()
        lab.local("ctl", "start", "send")

    def test_a_whole_mail_arrives(self):
        message = send_one(
            to=[{"email": "ann@example.org", "name": "Änn"}], cc="carl@example.org",
            bcc="bea@example.org", subject="Grüße – " + "long " * 30, html="<p>hé</p>",
            headers={"X-Shop": "1"},
            attachments=[{"filename": "fé.txt", "type": "text/plain", "content": "aGVsbG8="}])
        box = lab.ENV["MAILBOX"]

        def arrived():
            for m in lab.requests.get(f"{box}/messages", timeout=10).json():
                if any(k == "X-Mill-Message-Id" and v == message for k, v in m["headers"]):
                    return m
            return None
        m = lab.wait_for("the mail", arrived, 60, 0.5)
        self.assertEqual(sorted(m["to"]), ["ann@example.org", "bea@example.org",
                                           "carl@example.org"])
        raw = lab.requests.get(f"{box}/messages/{m['id']}", timeout=10).content
        parsed = email.message_from_bytes(raw, policy=email.policy.default)
        self.assertTrue(parsed["Subject"].startswith("Grüße – long"))
        self.assertIsNone(parsed["Bcc"])
        self.assertEqual(parsed["X-Shop"], "1")
        self.assertTrue(parsed["Date"] and parsed["Message-ID"])
        self.assertEqual(parsed.get_body(("plain",)).get_content().strip(), "hello")
        self.assertIn("hé", parsed.get_body(("html",)).get_content())
        files = {a.get_filename(): a.get_content() for a in parsed.iter_attachments()}
        self.assertEqual(files, {"fé.txt": "hello"})
        self.assertTrue(all(len(line) <= 998 for line in raw.split(b"\r\n")))

    def test_a_refused_recipient_is_a_dead_letter(self):
        box = lab.ENV["MAILBOX"]
        lab.requests.put(f"{box}/behaviour", json={"rcpt": "550 5.1.1 no such user"}, timeout=10)
        try:
            message = send_one(to="gone@example.org")  # from here on it is suppressed
            found = lab.wait_for("dead letter", lambda: letter(message), 90, 1)
        finally:
            lab.requests.put(f"{box}/behaviour", json={}, timeout=10)
        self.assertEqual(lab.headers(found[0])["mill.class"], "permanent")
        self.assertIn("550", lab.headers(found[0])["__connect.errors.exception.message"])


if __name__ == "__main__":
    lab.main()
