"""A transaction that nobody ends: what lies behind it is given to nobody, and the stage says so."""
import json
import re
import time
import unittest
import uuid

import lab
from confluent_kafka import Producer

TOPIC, PARTITION, LIVES_MS = "mail.delay.1h", 3, 300000


def stalled() -> float:
    """What the metric of the stage that reads the topic says."""
    conf = (lab.state_dir() / "conf/delay.conf").read_text()
    status = re.search(r"^status-listen *= *(\S+)", conf, re.M)[1]
    return lab.metric("http://" + status, "mill_partitions_stalled")


def said() -> list[dict]:
    lines = (json.loads(line) for line in (lab.state_dir() / "log/delay.log").read_text().splitlines()
             if line.startswith("{"))
    return [r for r in lines if r["ev"] == "transaction_hangs"]


class Stalled(unittest.TestCase):
    def test_it_is_told_until_it_ends(self):
        self.assertEqual(stalled(), 0)
        before = len(said())
        p = Producer({"bootstrap.servers": lab.ENV["BROKERS"], "transaction.timeout.ms": LIVES_MS,
                      "transactional.id": f"e2e-{uuid.uuid4()}"})
        p.init_transactions(30)
        p.begin_transaction()
        p.produce(TOPIC, partition=PARTITION, key=b"open", value=b"of nobody", headers={
            "mill.due": str(int(time.time() * 1000)), "mill.target": "mail.requests"})
        p.flush(30)
        try:
            lab.wait_for("the alarm", lambda: stalled() == 1, 90, 1)
            told = said()[before:]
            self.assertEqual([(r["topic"], r["partition"]) for r in told], [(TOPIC, PARTITION)])
        finally:
            p.abort_transaction(30)
        lab.wait_for("its end", lambda: stalled() == 0, 30, 1)


if __name__ == "__main__":
    lab.main()
