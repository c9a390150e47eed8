"""The mailbox: an SMTP server that keeps what it gets in memory, and shows it by HTTP.

  GET /              a page with the newest mails        GET /messages      all, as JSON
  GET /messages/ID   one, as it came (message/rfc822)    DELETE /messages   forget all
  PUT /behaviour     {"rcpt"|"data": "451 4.3.0 later"}: answer so until the next PUT ({} = accept)

Started as: mailbox.py HTTP_PORT SMTP_PORT, both on 127.0.0.1; needs aiosmtpd.
"""
import email
import email.policy
import html
import json
import sys
import threading
import time
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.controller import Controller

KEEP = 10000          # mails; the oldest is forgotten first
MAX_BYTES = 40 << 20  # of one mail


class Box:
    """What has arrived, and how to answer. Shared by the SMTP and HTTP threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self._mails: OrderedDict[int, dict] = OrderedDict()
        self._next = 1
        self.behaviour: dict[str, str] = {}

    def add(self, envelope) -> None:
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        mail = {"from": envelope.mail_from, "to": list(envelope.rcpt_tos),
                "received_at": time.time(), "size_bytes": len(envelope.content),
                "subject": str(parsed["Subject"] or ""),
                "message_id": str(parsed["Message-ID"] or ""),
                "headers": [[k, str(v)] for k, v in parsed.items()], "raw": envelope.content}
        with self._lock:
            mail["id"] = self._next
            self._mails[self._next] = mail
            self._next += 1
            while len(self._mails) > KEEP:
                self._mails.popitem(last=False)

    def all(self) -> list[dict]:
        with self._lock:
            return [{k: v for k, v in m.items() if k != "raw"} for m in self._mails.values()]

    def raw(self, number: int) -> bytes | None:
        with self._lock:
            mail = self._mails.get(number)
        return mail["raw"] if mail else None

    def clear(self) -> None:
        with self._lock:
            self._mails.clear()


class Smtp:
    """aiosmtpd's handler: its hooks' names are given."""

    def __init__(self, box: Box):
        self.box = box

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if "rcpt" in self.box.behaviour:
            return self.box.behaviour["rcpt"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):
        if "data" in self.box.behaviour:
            return self.box.behaviour["data"]
        self.box.add(envelope)
        return "250 OK"


def page(mails: list[dict]) -> bytes:
    rows = "".join(
        f'<tr><td><a href="/messages/{m["id"]}">{m["id"]}</a><td>{html.escape(str(m["from"]))}'
        f'<td>{html.escape(", ".join(m["to"]))}<td>{html.escape(m["subject"])}'
        for m in reversed(mails[-200:]))
    return ("<!doctype html><meta charset=utf-8><title>Sendmill mailbox</title>"
            f"<h1>{len(mails)} mails</h1><table><tr><th>id<th>from<th>to<th>subject{rows}"
            "</table>").encode()


def http_handler(box: Box):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            if self.path == "/":
                return self._answer(200, "text/html; charset=utf-8", page(box.all()))
            if self.path == "/messages":
                return self._answer(200, "application/json", json.dumps(box.all()).encode())
            number = self.path.removeprefix("/messages/")
            raw = box.raw(int(number)) if number.isdecimal() else None
            if raw is None:
                return self._answer(404, "text/plain", b"no such mail\n")
            return self._answer(200, "message/rfc822", raw)

        def do_DELETE(self):
            if self.path != "/messages":
                return self._answer(404, "text/plain", b"not found\n")
            box.clear()
            return self._answer(200, "application/json", b"{}")

        def do_PUT(self):
            try:
                wanted = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                good = all(k in ("rcpt", "data") and str(v)[:3].isdecimal()
                           for k, v in wanted.items())
            except (ValueError, AttributeError):
                good = False
            if self.path != "/behaviour" or not good:
                return self._answer(400, "text/plain", b'want {"rcpt": "451 ...", "data": ...}\n')
            box.behaviour = wanted
            return self._answer(200, "application/json", b"{}")

    return Handler


def main() -> None:
    http_port, smtp_port = int(sys.argv[1]), int(sys.argv[2])
    box = Box()
    smtp = Controller(Smtp(box), hostname="127.0.0.1", port=smtp_port, enable_SMTPUTF8=True,
                      data_size_limit=MAX_BYTES, ident="Sendmill mailbox")
    smtp.start()
    ThreadingHTTPServer(("127.0.0.1", http_port), http_handler(box)).serve_forever()


if __name__ == "__main__":
    main()
