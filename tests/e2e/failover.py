"""Several providers: one is down, throttles, or refuses our credentials, and mail goes on by the
other, called once. Each test runs a send of its own, with the options that it is about."""
import json
import time
import unittest

import lab
import requests
from own_send import OwnSend

RATE = 40  # mails a second


def calls(provider: str = "") -> dict[str, int]:
    path = "/calls" + (f"?provider={provider}" if provider else "")
    return requests.get(lab.ENV["PROVIDER"] + path, timeout=10).json()


def post_steadily(n: int) -> dict[str, float]:
    """message id → when its POST began, seconds since 1970."""
    began, start = {}, time.monotonic()
    for i in range(n):
        time.sleep(max(0.0, start + i / RATE - time.monotonic()))
        at = time.time()
        r = lab.post(lab.mail(to=f"f{i}@example.org"))
        assert r.status_code == 202, r.text
        began[r.json()["message_ids"][0]] = at
    return began


def all_called(ids, seconds: float = 60) -> dict[str, int]:
    def seen():
        got = calls()
        return got if all(i in got for i in ids) else None
    return lab.wait_for(f"calls of {len(ids)} messages", seen, seconds, 0.5)


def mailgun_times() -> dict[str, float]:
    """message id → when Mailgun took its call: the time of its `accepted` event."""
    return {e["user-variables"]["mill_message_id"]: e["timestamp"] for e in lab.posted_events()
            if e["event"] == "accepted"}


def quantile(values: list[float], q: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * q))]


class Failover(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        lab.local("ctl", "stop", "send")

    @classmethod
    def tearDownClass(cls):
        lab.local("ctl", "start", "send")

    def setUp(self):
        lab.behave(None)
        lab.forget_calls()
        self.addCleanup(lab.behave, None)
        self.dead = len(lab.dead_letters())

    def send(self, *options: str) -> OwnSend:
        s = OwnSend(*options)
        self.addCleanup(s.end)
        return s

    def once(self, began: dict[str, float]) -> None:
        got = all_called(began)
        self.assertEqual({i: got[i] for i in began}, dict.fromkeys(began, 1))
        self.assertEqual(len(lab.dead_letters()), self.dead)

    def waits(self, what: str, began: dict[str, float]) -> float:
        """p99 in ms from POST to Mailgun's call; says all."""
        at = lab.wait_for("events of all", lambda: began.keys() <= (got := mailgun_times()).keys() and got, 60)
        ms = [(at[i] - t) * 1000 for i, t in began.items()]
        print(json.dumps({what: len(ms), "p50_ms": round(quantile(ms, .5)),
                          "p99_ms": round(quantile(ms, .99)), "max_ms": round(max(ms))}))
        return quantile(ms, .99)

    def test_first_provider_down(self):
        """p99 from POST to the second provider's call is at most 1 s once the breaker is open. On a
        machine that is too busy for that even with all well, it is at most half as much again; and a
        stall of it has two more tries."""
        s = self.send("--providers", "mailgun")
        well = post_steadily(400)
        all_called(well)
        s.end()
        s = self.send("--providers", "sendgrid,mailgun", "--sendgrid-url", "http://127.0.0.1:1")
        opening = post_steadily(40)
        lab.wait_for("the breaker to open", lambda: s.metric("mill_send_breaker_state", "sendgrid"))
        self.waits("breaker opens", opening)
        most = max(1000.0, 1.5 * self.waits("all well", well))
        for _ in range(3):
            opened = post_steadily(800)  # 20 s: several probes among them
            self.once(well | opening | opened)
            p99 = self.waits("breaker open", opened)
            if p99 <= most:
                break
        print(json.dumps({"calls of the first":
                          s.metric("mill_send_calls_transient_total", "sendgrid")}))
        self.assertLessEqual(p99, most)
        self.assertEqual(calls("sendgrid"), {})
        self.assertTrue(s.ready())  # one of the two is enough

    def test_too_many_requests_for_a_while(self):
        s = self.send("--providers", "sendgrid,mailgun")
        lab.behave({"provider": "sendgrid", "status": 429, "retry_after": 2})
        began = post_steadily(200)  # 5 s
        self.once(began)
        self.assertLessEqual(set(began), set(calls("mailgun")))
        refused = s.metric("mill_send_calls_throttled_total", "sendgrid")
        lab.behave(None)
        lab.wait_for("the first to be asked again", lambda: (
            began.update(post_steadily(1)), set(began) & set(calls("sendgrid")))[1], 30)
        began |= post_steadily(200)
        self.once(began)
        by = {p: len(calls(p)) for p in ("sendgrid", "mailgun")}
        print(json.dumps({"calls": by, "refused": refused}))
        self.assertGreater(by["sendgrid"], 100)  # when it was over
        self.assertLess(refused, 100)  # it was left alone meanwhile, not asked again and again

    def test_refused_credentials_pause_one(self):
        s = self.send("--providers", "sendgrid,mailgun", "--credential-pause-ms", "2s")
        lab.behave({"provider": "sendgrid", "status": 401})
        began = post_steadily(120)
        self.once(began)
        self.assertLessEqual(set(began), set(calls("mailgun")))
        self.assertEqual(s.metric("mill_send_paused_providers"), 1)
        self.assertFalse(s.ready())  # somebody has to look
        lab.behave(None)
        lab.wait_for("send to be well", lambda: (began.update(post_steadily(1)), s.ready())[1], 20)
        self.assertEqual(s.metric("mill_send_paused_providers"), 0)
        self.once(began)  # none is left for the next test

    def test_weights_and_a_tenants_own(self):
        self.send("--providers", "sendgrid:3,mailgun:1", "--tenant.nobody", "mailgun")
        began = post_steadily(120)
        self.once(began)
        by = {p: len(set(began) & set(calls(p))) for p in ("sendgrid", "mailgun")}
        print(json.dumps({"calls": by}))
        self.assertEqual(by, {"sendgrid": 90, "mailgun": 30})

    def test_a_rate_is_kept(self):
        s = self.send("--providers", "sendgrid", "--sendgrid-rate", "20", "--sendgrid-burst", "1")
        start = time.monotonic()
        body = [lab.mail(to=f"r{i}@example.org") for i in range(100)]
        r = lab.post(body, "/v1/mail/batch")
        self.assertEqual(r.status_code, 202, r.text)
        lab.wait_for("100 calls", lambda: len(calls()) == 100, 60, 0.1)
        took = time.monotonic() - start
        print(json.dumps({"100 calls at 20/s, s": round(took, 2)}))
        self.assertGreater(took, 4.8)
        self.assertLess(took, 60)
        self.assertEqual(set(calls().values()), {1})
        self.assertEqual(s.metric("mill_send_calls_throttled_total", "sendgrid"), 0)


if __name__ == "__main__":
    lab.main()
