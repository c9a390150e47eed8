"""POST /v1/mail with a send_at → the provider is called, through the whole local stack: how far from
send_at. The provider is this process, which knows when it was called."""
import base64
import http.client
import json
import os
import random
import statistics
import time
import urllib.parse
from pathlib import Path

from bench_latency import Provider
from bench_stack import cpu_s, instance, peak_mb, report, say

PER_SECOND, GATE_MS, SPARE_S = 50, 1000, 20


def post(conn: http.client.HTTPConnection, head: dict, when: float) -> str:
    """@return the message id"""
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(when)) + f".{int(when % 1 * 1000):03d}Z"
    conn.request("POST", "/v1/mail", headers=head, body=json.dumps(
        {"from": "bench@shop.example", "to": "user@example.com", "subject": "bench", "text": "x",
         "send_at": text}))
    reply = conn.getresponse()
    body = reply.read()
    if reply.status != 202:
        raise SystemExit(f"bench: POST /v1/mail: {reply.status} {body.decode()}")
    return json.loads(body)["message_ids"][0]


def run(tree: Path, mails: int, minutes: float, keep: bool) -> bool:
    provider = Provider()
    extra = {"SENDMILL_BUILD": str(tree), "SENDMILL_SENDGRID_KEY": "SG.bench-not-a-key",
             "SENDMILL_SENDGRID_URL": f"http://127.0.0.1:{provider.server_address[1]}"}
    with instance("bench-schedule", None, keep, extra) as env:
        url = urllib.parse.urlsplit(env["INGEST"])
        conn = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
        auth = base64.b64encode(env["INGEST_AUTH"].encode()).decode()
        head = {"Content-Type": "application/json", "Authorization": f"Basic {auth}"}
        clock = time.time() - time.monotonic()  # the provider's times are monotonic
        first = time.time() + mails / PER_SECOND + 5
        due: dict[str, float] = {}
        for _ in range(mails):
            when = int((first + random.random() * minutes * 60) * 1000) / 1000
            due[post(conn, head, when)] = when
            time.sleep(1 / PER_SECOND)
        say(f"schedule: {mails} mails posted, due over {minutes:g} min")
        end = first + minutes * 60 + SPARE_S
        while time.time() < end and not due.keys() <= provider.called.keys():
            time.sleep(0.5)
        off = sorted((provider.called[m] + clock - t) * 1000 for m, t in due.items()
                     if m in provider.called)
    if len(off) < mails:
        say(f"schedule: {mails - len(off)} of {mails} mails were never sent")
        return False
    error = sorted(map(abs, off))
    p99 = error[mails * 99 // 100]
    report("schedule_off_p99", p99, "ms", None, None, cpu_s(os.getpid()), peak_mb(os.getpid()),
           p50=round(statistics.median(error), 1), earliest=round(off[0], 1),
           latest=round(off[-1], 1), mails=mails, minutes=minutes)
    return p99 <= GATE_MS
