"""Was it sent? A lost reply is UNKNOWN, an event settles it, else a person decides; nothing of this,
and no replay, calls a provider twice. Cancellations get their one word."""
import time
import unittest
from collections import Counter

import lab
from confluent_kafka import Producer

WAIT_S = 12  # unknown-wait-ms, see stack.py
SETTLED_S = 5


def send_one(**more) -> str:
    r = lab.post(lab.mail(**more))
    assert r.status_code == 202, r.text
    return r.json()["message_ids"][0]


def records(topic: str, message: str) -> list:
    """(record, decoded value) of one message, in order."""
    found = [(m, lab.decode(m.value())) for m in lab.read(topic) if (m.key() or b"").startswith(
        message.encode())]
    return [(m, v) for m, v in found if v["message_id"] == message]


def states(message: str) -> list[str]:
    return [v["state"] for _, v in records("mail.status", message)]


def letters(message: str) -> list[dict[str, str]]:
    return [lab.headers(m) for m in lab.dead_letters() if m.key() == message.encode()]


def lose_reply() -> None:
    """The body arrives, the mail goes out, the connection ends without a word."""
    lab.behave({"faults": [{"reset": "after_body", "accept": True}]})


class Doubt(unittest.TestCase):
    def setUp(self):
        self.addCleanup(lab.behave, None)

    def copies(self, message: str, n: int) -> None:
        """The message again, as a replay or a request that was posted twice brings it."""
        record = records("mail.messages", message)[0][0]
        lab.produce("mail.messages", [(record.key(), record.value())] * n, record.partition())

    def test_an_event_settles_it_within_seconds(self):
        lose_reply()
        message = send_one()
        said = lab.wait_for("SENT by evidence", lambda: [
            r for r in records("mail.status", message) if r[1]["reason"] == "settled by evidence"],
            60, 0.5)
        lab.behave(None)
        proof = [r for r in records("mail.ledger", message) if r[1]["kind"] == "EVIDENCE"]
        self.assertEqual(len(proof), 1)
        came = min(v["received_at"] for _, v in records("mail.events", message)).timestamp()
        for m in (said[0][0], proof[0][0]):
            took = m.timestamp()[1] / 1000 - came
            print(f"settled {took:.2f} s after its event came", flush=True)
            self.assertLess(took, SETTLED_S)

        def ends_there():
            self.assertEqual(letters(message), [])
            self.assertEqual(lab.calls().get(message), 1)
            got = states(message)
            self.assertLessEqual(Counter(got)["UNKNOWN"], 1)
            self.assertLess(got.index("SENT"), got.index("DELIVERED"))
        lab.look_later(WAIT_S + 8, ends_there)  # it comes back from its wait, and is found settled

    def test_without_an_event_it_is_held_and_a_redrive_calls_nobody(self):
        lose_reply()
        message = send_one(to="silent@example.org")
        lab.wait_for("UNKNOWN", lambda: "UNKNOWN" in states(message), 60, 0.5)
        lab.behave(None)
        self.copies(message, 3)  # each waits by itself
        found = lab.wait_for("dead letter", lambda: letters(message), WAIT_S + 60, 1)
        self.assertEqual(found[0]["mill.class"], "unknown")
        self.assertEqual(Counter(states(message))["UNKNOWN"], 1)
        self.assertEqual(states(message)[-1], "HELD")
        self.copies(message, 3)  # and what comes later finds that it is held
        time.sleep(6)  # all of them have come back
        self.assertEqual(len(letters(message)), 1)

        lab.sendmill("dlq", "redrive", "--class", "unknown", "--yes")
        found = lab.wait_for("second dead letter", lambda: letters(message)[1:], 60, 1)
        self.assertEqual([h["mill.redrives"] for h in found], ["1"])
        self.assertEqual(lab.calls().get(message), 1)

        # Its event after all, late: the next redrive finds it settled.
        number = lab._registry("/subjects/mail.callbacks.events-value/versions/latest")["id"]
        event = {"message_id": message, "provider": "sendgrid", "received_at": int(time.time() * 1e6),
                 "raw": '{"event":"delivered","timestamp":%d}' % time.time(), "index": 0,
                 "callback_topic": "mail.callbacks", "callback_partition": 0, "callback_offset": 0}
        partition = records("mail.messages", message)[0][0].partition()
        lab.produce("mail.callbacks.events", [
            (message.encode(), lab.encode(number, lab.schema("callback_event"), event))], partition)
        lab.wait_for("SENT by evidence", lambda: "SENT" in states(message), 60, 0.5)
        lab.sendmill("dlq", "redrive", "--class", "unknown", "--yes")

        def no_more():
            self.assertEqual(len(letters(message)), 2)
            self.assertEqual(lab.calls().get(message), 1)
        lab.look_later(8, no_more)

    def test_resend_is_the_next_attempt(self):
        lab.behave({"faults": [{"reset": "after_body", "accept": True, "times": 1}]})
        message = send_one(to="silent@example.org", on_unknown="resend")
        lab.wait_for("second call", lambda: lab.calls().get(message) == 2, WAIT_S + 60, 1)
        lab.wait_for("SENT", lambda: states(message)[-1:] == ["SENT"], 30, 0.5)
        self.assertEqual(letters(message), [])


class Behind(unittest.TestCase):
    point = lab.state_dir() / "points/send"
    fired = lab.state_dir() / "points/send.fired"

    def arm(self, line: str) -> None:
        self.point.parent.mkdir(exist_ok=True)
        self.fired.unlink(missing_ok=True)
        self.point.write_text(line + "\n")

    def passed(self) -> None:
        lab.wait_for(self.point.name + " at its point", self.fired.exists, 120, 0.05)

    def test_an_intent_behind_an_open_transaction_is_seen(self):
        """Somebody's transaction in the ledger is open, so that what a read_committed reader may
        read ends before it. send is killed with its call made, and its INTENT lies behind: the next
        life waits until it can read that far, and does not call."""
        other = Producer({"bootstrap.servers": lab.ENV["BROKERS"], "transactional.id": "e2e-behind",
                          "transaction.timeout.ms": 120000})
        other.init_transactions(30)
        other.begin_transaction()
        for n in other.list_topics("mail.ledger", 10).topics["mail.ledger"].partitions:
            other.produce("mail.ledger", b"nothing", b"nobody", partition=n)
        other.flush(30)
        try:
            self.arm("send.after-reply kill")
            message = send_one()
            self.passed()
            self.arm("assign.after-committed sleep-1")  # the next life is about to read its table
            self.passed()
            time.sleep(8)  # time enough to call
            self.assertEqual(lab.calls().get(message), 1)
        finally:
            self.point.unlink(missing_ok=True)
            other.abort_transaction(30)
        lab.wait_for("SENT by its event", lambda: "SENT" in states(message), 90, 0.5)
        self.assertEqual(lab.calls().get(message), 1)


class Cancel(unittest.TestCase):
    def delete(self, message: str) -> None:
        r = lab.HTTP.delete(lab.ENV["INGEST"] + "/v1/mail/" + message, timeout=30)
        self.assertEqual(r.status_code, 202, r.text)

    def test_before_its_time(self):
        at = time.time() + 30  # the tests behind this one take longer
        message = send_one(send_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)))
        lab.wait_for("SCHEDULED", lambda: "SCHEDULED" in states(message), 60, 0.5)
        self.delete(message)

        def cancelled():
            lab.wait_for("CANCELLED", lambda: "CANCELLED" in states(message), 60, 1)
            self.assertNotIn(message, lab.calls())
        lab.look_later(at - time.time(), cancelled)

    def test_too_late(self):
        message = send_one()
        lab.wait_for("SENT", lambda: "SENT" in states(message), 60, 0.5)
        self.delete(message.split("/")[0])
        lab.wait_for("TOO_LATE", lambda: "TOO_LATE" in states(message), 60, 0.5)
        self.assertNotIn("CANCELLED", states(message))
        self.assertEqual(lab.calls().get(message), 1)


class Replay(unittest.TestCase):
    def test_all_requests_again_call_nobody(self):
        """Every request that ever became messages, not only ours."""
        sent = {send_one() for _ in range(20)}
        lab.wait_for("our messages", lambda: sent <= {
            m.key().decode() for m in lab.read("mail.messages")}, 60, 1)
        time.sleep(WAIT_S + 10)  # what is in doubt or waits for its send_at has had its turn
        messages = [m.key().decode() for m in lab.read("mail.messages")]
        ids = {key.rsplit("/", 1)[0].encode() for key in messages}
        requests = [m for m in lab.read("mail.requests") if m.key() in ids]
        self.assertGreaterEqual(len(requests), len(sent))
        calls = lab.calls()
        lab.produce("mail.requests", [(m.key(), m.value()) for m in requests])
        lab.wait_for("every message a second time", lambda: len(
            lab.read("mail.messages")) >= len(messages) + len(requests), 120, 1)
        time.sleep(8)
        self.assertEqual(lab.calls(), calls)


if __name__ == "__main__":
    lab.main()
