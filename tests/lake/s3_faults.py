"""A door in front of the S3 server that the sinks go through: it can be shut, slow, say no, or lose
an answer. What it lets pass goes to the real server as it came (the signature covers the Host header,
which is kept)."""
import http.client
import random
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

CHUNK = 16384
HOP = {"connection", "keep-alive", "transfer-encoding"}


class Door(ThreadingHTTPServer):
    """mode: what is done to requests; share: to how many of them."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, upstream: str, rng: random.Random):
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream = urlsplit(upstream).netloc
        self.rng = rng
        self.mode, self.share = "", 1.0
        self.counts: dict[str, int] = {}
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return "http://%s:%d" % self.server_address

    def harm(self, mode: str, share: float = 1.0) -> None:
        self.mode, self.share = mode, share

    def draw(self) -> str:
        """What is to happen to this request."""
        with self.lock:
            mode = self.mode if self.rng.random() < self.share else ""
            if mode:
                self.counts[mode] = self.counts.get(mode, 0) + 1
        return mode

    def handle_error(self, request, client_address):
        pass  # a sink that was killed


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Door
    upstream: http.client.HTTPConnection | None = None

    def log_message(self, format, *args):
        pass

    def finish(self):
        if self.upstream:
            self.upstream.close()
        super().finish()

    def cut(self):
        """Reset the connection, as a load balancer does that goes away."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def body(self, part: float = 1.0) -> bytes:
        """So much of what the client sends."""
        left = int(int(self.headers.get("Content-Length") or 0) * part)
        pieces = []
        while left:
            piece = self.rfile.read(min(CHUNK, left))
            if not piece:
                raise ConnectionError("the client went away")
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def say(self, status: int, code: str):
        text = f"<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>as told</Message></Error>"
        data = b"" if self.command == "HEAD" else text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def ask(self, body: bytes):
        """The server's answer: (status, headers, body)."""
        if not self.upstream:
            self.upstream = http.client.HTTPConnection(self.server.upstream, timeout=60)
        up = self.upstream
        up.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in HOP | {"expect"}:
                up.putheader(name, value)
        up.endheaders(body)
        reply = up.getresponse()
        return reply.status, reply.getheaders(), reply.read()

    def handle_one(self):
        mode = self.server.draw()
        if mode == "down":
            return self.cut()
        if mode == "reset" and self.command == "PUT":
            self.body(0.5)
            return self.cut()
        body = self.body()
        if mode in REFUSALS:
            return self.say(*REFUSALS[mode])
        if mode == "slow":
            time.sleep(self.server.rng.uniform(0.5, 8))
        status, headers, data = self.ask(body)
        if mode == "lost" and self.command == "PUT":
            return self.cut()
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP | {"content-length"}:
                self.send_header(name, value)
        length = dict((n.lower(), v) for n, v in headers).get("content-length")
        self.send_header("Content-Length", length if self.command == "HEAD" and length else len(data))
        self.end_headers()
        self.wfile.write(data)

    def do_any(self):
        try:
            self.handle_one()
        except (OSError, http.client.HTTPException):
            self.cut()  # the server is away, or the client

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = do_any


REFUSALS = {"403": (403, "AccessDenied"), "503": (503, "SlowDown"),
            "500": (500, "InternalError"), "409": (409, "ConditionalRequestConflict")}
