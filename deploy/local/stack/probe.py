"""Is a part ready? Each probe does one real exchange and returns True or False, quickly."""
import http.client
import socket
import struct
import urllib.error
import urllib.request

_WRONG = (OSError, http.client.HTTPException, ValueError, struct.error, IndexError)


def http_ok(url: str, accept=(200,)) -> bool:
    """Does a GET answer one of these status codes?"""
    try:
        with urllib.request.urlopen(url, timeout=2) as r:
            return r.status in accept
    except urllib.error.HTTPError as e:
        return e.code in accept
    except _WRONG:
        return False


def smtp(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as s:
            return s.recv(100).startswith(b"220")
    except _WRONG:
        return False


def broker(port: int) -> bool:
    """A Metadata v1 request: ready when the broker lists a broker that takes part (itself)."""
    client = b"probe"
    body = struct.pack(">hhih", 3, 1, 7, len(client)) + client + struct.pack(">i", 0)
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as s:
            s.settimeout(2)
            s.sendall(struct.pack(">i", len(body)) + body)
            f = s.makefile("rb")
            size, correlation, brokers = struct.unpack(">iii", f.read(12))
            return correlation == 7 and size > 8 and brokers > 0
    except _WRONG:
        return False
