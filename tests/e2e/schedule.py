"""send_at through the delay topics: on time though the timer is killed, cancelled when asked, and a
mail that fails stands in nobody's way."""
import time
import unittest
import uuid

import lab

REACH_S = 20  # SCHEDULED is said sooner


def text(when: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(when)) + f".{int(when % 1 * 1000):03d}Z"


def post_at(when: float) -> str:
    """@return the request id"""
    r = lab.post(lab.mail(send_at=text(when)))
    assert r.status_code == 202, r.text
    return r.json()["message_ids"][0].partition("/")[0]


def states(message_id: str) -> list[dict]:
    """What mail.status has of a message, oldest first."""
    rows = [lab.decode(m.value()) for m in lab.read("mail.status")
            if m.key() == message_id.encode()]
    return sorted(rows, key=lambda r: r["at"])


def called_at(message_id: str, until: float) -> float | None:
    while time.time() < until:
        if lab.calls().get(message_id):
            return time.time()
        time.sleep(0.05)
    return None


class Schedule(unittest.TestCase):
    def test_on_time_though_the_timer_is_killed(self):
        due = time.time() + REACH_S
        message = post_at(due) + "/0"
        lab.wait_for("SCHEDULED", lambda: [s for s in states(message) if s["state"] == "SCHEDULED"])
        lab.local("ctl", "kill", "-9", "delay")
        at = called_at(message, due + 30)
        self.assertIsNotNone(at, "it was never sent")
        # A killed process is back in seconds; what it then finds due goes out at once.
        self.assertGreater(at, due - 1.0)
        lab.wait_for("SENT", lambda: [s for s in states(message) if s["state"] == "SENT"])
        self.assertEqual([s["state"] for s in states(message)].count("SCHEDULED"), 1)
        self.assertEqual(lab.calls()[message], 1)

    def test_a_cancellation_by_a_record(self):
        due = time.time() + 30  # nobody stands and waits for it: SCHEDULED and a record have time
        request = post_at(due)
        schema = lab.schema("cancellation")
        tenant = lab.wait_for("SCHEDULED", lambda: [
            s for s in states(request + "/0") if s["state"] == "SCHEDULED"])[0]["tenant"]
        number = lab.register("mail.cancellations-value", schema)
        lab.produce("mail.cancellations", [(request.encode(), lab.encode(number, schema, {
            "id": request, "tenant": tenant, "client": "e2e", "at": int(time.time() * 1e6)}))])

        def cancelled():
            self.assertNotIn(request + "/0", lab.calls())
            lab.wait_for("CANCELLED", lambda: [
                s for s in states(request + "/0") if s["state"] == "CANCELLED"])
        lab.look_later(due + 5 - time.time(), cancelled)

    def test_a_failing_mail_is_in_nobodys_way(self):
        schema = lab.schema("request")
        number = lab.register("mail.requests-value", schema)
        ids = [uuid.uuid4().hex for _ in range(6)]
        lab.behave({"message_id": f"{ids[0]}/0", "times": 3, "status": 503, "retry_after": 1})
        try:
            # All in one partition, the failing one first.
            lab.produce("mail.requests", [
                (i.encode(), lab.encode(number, schema, {
                    "request_id": i, "from": {"email": "shop@example.com"}, "subject": "hi",
                    "text": "hello", "personalizations": [{"to": [{"email": "ann@example.org"}]}]}))
                for i in ids], 1)
            lab.wait_for("the mails behind it", lambda: all(
                lab.calls().get(f"{i}/0") for i in ids[1:]), 60)
            lab.wait_for("the failing one in the end", lambda: lab.calls().get(f"{ids[0]}/0"), 90)
        finally:
            lab.behave(None)
        self.assertEqual([lab.calls()[f"{i}/0"] for i in ids], [1] * len(ids))


if __name__ == "__main__":
    lab.main()
