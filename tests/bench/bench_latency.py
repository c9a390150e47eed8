"""POST /v1/mail → the provider is called, through the whole local stack at low load. The provider
is this process, which knows when it was called."""
import base64
import http.client
import http.server
import json
import os
import statistics
import threading
import time
import urllib.parse
from pathlib import Path

from bench_stack import cpu_s, instance, peak_mb, report, say

PER_SECOND, GATE_MS, WARM_UP = 10, 150, 20  # mails a second, p50, mails not counted


class Provider(http.server.ThreadingHTTPServer):
    """Answers as SendGrid does, and remembers when each message id came."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Call)
        self.called: dict[str, float] = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Call(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # noqa: N802
        now = time.monotonic()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for mail in body["personalizations"]:
            self.server.called.setdefault(mail["custom_args"]["mill_message_id"], now)
        self.send_response(202)
        self.send_header("X-Message-Id", f"bench-{len(self.server.called)}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_) -> None:
        pass


class Client:
    """Posts mails over one connection."""

    def __init__(self, env: dict[str, str]):
        url = urllib.parse.urlsplit(env["INGEST"])
        self.conn = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
        auth = base64.b64encode(env["INGEST_AUTH"].encode()).decode()
        self.headers = {"Content-Type": "application/json", "Authorization": f"Basic {auth}"}

    def post(self) -> str:
        """@return the message id that the provider will see"""
        self.conn.request("POST", "/v1/mail", headers=self.headers, body=json.dumps(
            {"from": "bench@shop.example", "to": "user@example.com", "subject": "bench",
             "text": "x" * 200}))
        reply = self.conn.getresponse()
        text = reply.read()
        if reply.status != 202:
            raise SystemExit(f"bench: POST /v1/mail: {reply.status} {text.decode()}")
        answer = json.loads(text)
        return f"{answer.get('request_id') or answer['id']}/0"


def wait_called(provider: Provider, ids, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not ids <= provider.called.keys():
        time.sleep(0.05)
    return ids <= provider.called.keys()


def post_all(client: Client, mails: int) -> dict[str, float]:
    """message id → when its POST began."""
    sent: dict[str, float] = {}
    due = time.monotonic()
    for _ in range(mails):
        time.sleep(max(0, due - time.monotonic()))
        due += 1 / PER_SECOND
        begun = time.monotonic()
        sent[client.post()] = begun
    return sent


def run(tree: Path, seconds: int, keep: bool) -> bool:
    provider = Provider()
    extra = {"SENDMILL_BUILD": str(tree), "SENDMILL_SENDGRID_KEY": "SG.bench-not-a-key",
             "SENDMILL_SENDGRID_URL": f"http://127.0.0.1:{provider.server_address[1]}"}
    with instance("bench-latency", None, keep, extra) as env:
        client = Client(env)
        begun = time.monotonic()
        if not wait_called(provider, {client.post()}, 60):
            raise SystemExit("bench: the first mail was not sent within 60 s")
        say(f"first mail sent {time.monotonic() - begun:.1f} s after its POST")
        wait_called(provider, post_all(client, WARM_UP).keys(), 30)
        sent = post_all(client, seconds * PER_SECOND)
        wait_called(provider, sent.keys(), 30)
        took = sorted((provider.called[m] - t) * 1000 for m, t in sent.items()
                      if m in provider.called)
    if len(took) < len(sent):
        say(f"{len(sent) - len(took)} of {len(sent)} mails were never sent")
        return False
    p50, p99 = statistics.median(took), took[len(took) * 99 // 100]
    report("latency_post_to_call_p50", p50, "ms", None, None, cpu_s(os.getpid()), peak_mb(os.getpid()),
           p99=round(p99, 1), worst=round(took[-1], 1), mails=len(took))
    return p50 <= GATE_MS
