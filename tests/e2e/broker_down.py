"""The broker is away for a while: ingest says 503, stages wait, and all goes on by itself."""
import os
import time
import unittest

import lab

DOWN_S = float(os.environ.get("MILL_BROKER_DOWN_S", "15"))


class BrokerDown(unittest.TestCase):
    def test_all_continues_by_itself(self):
        accepted, refused = set(), []
        pids = {p: lab.local("ctl", "pid", p).strip() for p in ("ingest", "validate", "sink")}
        lab.forget_calls()
        for _ in range(20):
            accepted.update(lab.post(lab.mail()).json()["message_ids"])
        lab.local("ctl", "stop", "broker")
        until = time.monotonic() + DOWN_S
        while time.monotonic() < until:
            r = lab.post(lab.mail(), timeout=30)
            if r.status_code == 202:
                accepted.update(r.json()["message_ids"])
            else:
                refused.append(r)
            time.sleep(0.5)
        self.assertTrue(refused)
        for r in refused:
            self.assertEqual(r.status_code, 503, r.text)
            self.assertGreater(int(r.headers["Retry-After"]), 0)
            self.assertEqual(r.headers["Content-Type"], "application/problem+json")
        ready = lab.requests.get(lab.ENV["INGEST"] + "/readyz", timeout=10)
        self.assertEqual(ready.status_code, 503)
        lab.local("ctl", "start", "broker")
        lab.wait_for("ingest takes mail again", lambda: lab.post(lab.mail()).status_code == 202, 60,
                     1)
        all_called = lab.wait_for("every accepted mail is called", lambda: (
            accepted <= set(lab.calls()) | self.unknown()) or None, 120, 2)
        self.assertTrue(all_called)
        self.assertEqual([i for i in accepted if lab.calls().get(i, 0) > 1], [])
        # Waiting is not dying: who has no transaction open at the time is the same process still.
        self.assertEqual(lab.local("ctl", "pid", "ingest").strip(), pids["ingest"])

    def unknown(self):
        return {m.key().decode() for m in lab.dead_letters()
                if lab.headers(m)["mill.class"] == "unknown"}


if __name__ == "__main__":
    lab.main()
