"""A table of a million keys: made anew from the topic, against going on from its file after a restart."""
import subprocess
import tempfile
import time
from pathlib import Path

from bench_stack import instance
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 4


def run(tree: Path, keys: int, keep: bool) -> bool:
    with instance("bench-table", "broker,registry", keep, {}) as env, \
            tempfile.TemporaryDirectory() as folder:
        topic = f"bench.ledger.{time.time_ns()}"
        admin = AdminClient({"bootstrap.servers": env["BROKERS"]})
        new = NewTopic(topic, PARTITIONS, 1, config={"cleanup.policy": "compact"})
        admin.create_topics([new])[topic].result(30)
        subprocess.run([tree / "bench/bench_table", env["BROKERS"], env["REGISTRY"], folder, topic,
                        str(keys)], check=True)
    return True
