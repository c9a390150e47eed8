"""Who bounced, complained or unsubscribed gets no more mail: from the provider's event, or from the
one-click link in a mail, to the refusal of the next."""
import re
import unittest
import uuid

import lab
from own_send import OwnSend
from schedule import states


def send(to: str, **more) -> str:
    """@return the message id"""
    r = lab.post(lab.mail(to, **more))
    assert r.status_code == 202, r.text
    return r.json()["message_ids"][0]


def final(message: str) -> dict:
    ends = ("SENT", "SUPPRESSED", "DELIVERED", "BOUNCED", "FAILED")
    return lab.wait_for(f"the end of {message}", lambda: [
        s for s in states(message) if s["state"] in ends], 90, 0.5)[0]


def suppression(address: str) -> dict:
    return lab.wait_for(f"suppression of {address}", lambda: [
        v for v in (lab.decode(m.value()) for m in lab.read("mail.suppressions") if m.value())
        if v["address"] == address], 90, 1)[-1]


def until_suppressed(address: str, **more) -> dict:
    """The table of send is behind its topic for a moment: one of the next mails is refused."""
    for _ in range(10):
        last = final(send(address, **more))
        if last["state"] == "SUPPRESSED":
            return last
    raise AssertionError(f"{address} is still mailed: {last}")


class Suppress(unittest.TestCase):
    def test_a_bounce(self):
        address = f"bounce+{uuid.uuid4().hex[:8]}@example.org"
        first = send(address)
        row = suppression(address)
        self.assertEqual((row["reason"], row["message_id"], row["source"]),
                         ("HARD_BOUNCE", first, "sendgrid"))
        self.assertTrue(row["tenant"])
        refused = until_suppressed(address.upper().replace("EXAMPLE.ORG", "example.org"))
        self.assertIn("hard bounce", refused["reason"])
        self.assertEqual(refused["class"], "suppressed")
        self.assertNotIn(refused["message_id"], lab.calls())
        # It is no failure: nothing of it in the DLQ.
        self.assertFalse([m for m in lab.dead_letters()
                          if m.key() == refused["message_id"].encode()])
        exempt = send(address, categories=["transactional"])
        lab.wait_for("the exempt mail", lambda: lab.calls().get(exempt), 60)

    def test_others_of_the_same_mail_get_it(self):
        address = f"complaint+{uuid.uuid4().hex[:8]}@example.org"
        send(address)
        self.assertEqual(suppression(address)["reason"], "COMPLAINT")
        until_suppressed(address)
        both = send([{"email": address}, {"email": "ann@example.org"}])
        lab.wait_for("the mail to the other", lambda: lab.calls().get(both), 60)
        # By send itself; an event that is quicker than send's commit says SENT too.
        lab.wait_for("who was left out", lambda: [
            s for s in states(both) if s["state"] == "SENT" and address in (s["reason"] or "")])


class OneClick(unittest.TestCase):
    """By SMTP, so that the mail lies in the mailbox as its recipient has it."""

    @classmethod
    def setUpClass(cls):
        lab.local("ctl", "stop", "send")
        cls.send = OwnSend("--providers", "smtp")

    @classmethod
    def tearDownClass(cls):
        cls.send.end()
        lab.local("ctl", "start", "send")

    def header_of(self, message: str, name: str) -> str | None:
        def arrived():
            for m in lab.requests.get(f"{lab.ENV['MAILBOX']}/messages", timeout=10).json():
                found = {k.lower(): v for k, v in m["headers"]}
                if found.get("x-mill-message-id") == message:
                    return found
            return None
        return lab.wait_for("the mail", arrived, 60, 0.5).get(name)

    def test_the_link_of_a_mail(self):
        address = f"reader+{uuid.uuid4().hex[:8]}@example.org"
        message = send(address)
        link = self.header_of(message, "list-unsubscribe")
        self.assertEqual(self.header_of(message, "list-unsubscribe-post"),
                         "List-Unsubscribe=One-Click")
        url = re.fullmatch(r"<(http://127\.0\.0\.1:\d+/v1/unsubscribe/[A-Za-z0-9_-]+)>",
                           re.sub(r"\s", "", link))
        self.assertTrue(url, link)
        r = lab.requests.post(url[1], data={"List-Unsubscribe": "One-Click"}, timeout=30)
        self.assertEqual(r.status_code, 200, r.text)
        row = suppression(address)
        self.assertEqual((row["reason"], row["source"], row["message_id"]),
                         ("UNSUBSCRIBE", "one-click", message))
        self.assertIn("unsubscribed", until_suppressed(address)["reason"])
        exempt = send(address, categories=["transactional"])
        self.assertIsNone(self.header_of(exempt, "list-unsubscribe"))


if __name__ == "__main__":
    lab.main()
